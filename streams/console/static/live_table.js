// One table for every list of the console. The server sends patches ({upsert, remove, order});
// each row is a component of its own, so only rows whose object changed are rendered again.
// Text is only ever interpolated, never parsed as HTML: names come from outside.

const ICONS = {
  critical: "M12 1.5 23.5 22H.5L12 1.5Zm-1.2 7v6.5h2.4V8.5h-2.4Zm0 8.2v2.5h2.4v-2.5h-2.4Z",
  warning: "M12 1 23 12 12 23 1 12 12 1Zm-1.2 5.5v7h2.4v-7h-2.4Zm0 8.5v2.5h2.4V15h-2.4Z",
  check: "M9.5 18.5 3 12l2-2 4.5 4.5L19 5l2 2L9.5 18.5Z",
  cross: "M5 3 12 10 19 3l2 2-7 7 7 7-2 2-7-7-7 7-2-2 7-7-7-7 2-2Z",
  pause: "M6 4h4v16H6V4Zm8 0h4v16h-4V4Z",
  up: "M12 3 21 13h-6v8H9v-8H3L12 3Z",
  clock: "M12 2a10 10 0 1 1 0 20 10 10 0 0 1 0-20Zm-1.2 4v7l5 3 1.2-2-3.8-2.3V6h-2.4Z",
};

const Icon = {
  props: ["name"],
  template: `<svg v-if="path" class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
    <path :d="path" fill="currentColor" fill-rule="evenodd" /></svg>`,
  computed: {
    path() {
      return ICONS[this.name];
    },
  },
};

const pct = (x) => `${Math.max(0, Math.min(1, x)) * 100}%`;

const Cell = {
  props: ["kind", "cell"],
  components: { Icon },
  template: `
    <template v-if="kind === 'badge'">
      <span class="badge" :class="cell.tone"><Icon :name="cell.icon" />{{ cell.v }}</span>
      <span v-if="cell.sub" class="sub state"><Icon :name="cell.subicon" />{{ cell.sub }}</span>
      <span v-if="cell.sub2" class="sub">{{ cell.sub2 }}</span>
    </template>
    <template v-else-if="kind === 'person'">
      <a class="name" :class="{ pseudonym: cell.plain }" :href="cell.href">{{ cell.v }}</a>
      <span v-if="cell.sub" class="sub strong">{{ cell.sub }}</span>
      <span v-if="cell.sub2" class="sub">{{ cell.sub2 }}</span>
    </template>
    <template v-else-if="kind === 'chance'">
      <span class="chance"><span v-if="cell.label" class="of">{{ cell.label }}</span>
        <b>{{ cell.v }}</b><span class="sub inline">{{ cell.sub }}</span></span>
      <span v-if="cell.at !== undefined" class="meter" aria-hidden="true">
        <i v-if="cell.span" class="span" :style="span"></i>
        <i class="at" :style="{ left: pct(cell.at) }"></i>
        <i v-if="cell.mark !== undefined" class="mark" :style="{ left: pct(cell.mark) }"></i>
      </span>
    </template>
    <template v-else-if="kind === 'list'">
      <ul v-if="cell.v.length"><li v-for="(item, i) in cell.v" :key="i">{{ item }}</li></ul>
      <span v-else class="sub">–</span>
    </template>
    <template v-else-if="kind === 'care'">
      <span v-if="cell.note" class="care-note" role="status">{{ cell.note }}</span>
      <span v-if="cell.acts" class="acts">
        <button v-for="[key, text] in cell.acts" :key="key" type="button" class="button small"
          :data-act="key">{{ text }}</button></span>
    </template>
    <template v-else-if="kind === 'effect'">
      <span class="effect" :class="cell.dir"><span class="figure">{{ cell.v }}</span>
        <span v-if="cell.size !== undefined" class="track" aria-hidden="true">
          <i :style="bar"></i></span></span>
    </template>
    <template v-else-if="kind === 'spark'">
      <svg v-if="cell.points.length > 1" class="spark" viewBox="0 0 100 24"
        preserveAspectRatio="none" aria-hidden="true"><polyline :points="line" /></svg>
      <span v-else class="sub">–</span>
    </template>
    <template v-else>
      <span class="value">{{ cell.v }}</span><span v-if="cell.sub" class="sub">{{ cell.sub }}</span>
    </template>`,
  methods: { pct },
  computed: {
    span() {
      const [low, high] = this.cell.span;
      return { left: pct(low), width: pct(high - low) };
    },
    bar() {
      const half = Math.min(1, Math.abs(this.cell.size)) * 50;
      return { left: `${this.cell.size < 0 ? 50 - half : 50}%`, width: `${half}%` };
    },
    line() {
      const points = this.cell.points;
      const first = points[0][0];
      const range = points[points.length - 1][0] - first || 1;
      return points.map(([t, p]) => `${((t - first) / range) * 100},${22 - p * 20}`).join(" ");
    },
  },
};

const KEYS = {
  a: "acknowledge",
  s: "snooze",
  d: "dismiss",
  h: "hand_over",
  c: "comment",
  o: "outcome",
};

const LiveRow = {
  props: ["row", "columns", "fresh"],
  components: { Cell },
  template: `
    <tr role="row" :class="[row.tone, { fresh }]" :data-key="row.key">
      <td v-for="(column, i) in columns" :key="column.id" role="cell" :class="'c-' + column.id"
        :data-label="column.label"><Cell :kind="column.kind" :cell="row.cells[i]" /></td>
    </tr>`,
};

export default {
  components: { LiveRow },
  emits: ["ready", "act"],
  props: { columns: Array, caption: String, loading: String, acts: Boolean },
  template: `
    <div class="live-table">
      <p v-if="!known" class="state-note" role="status">{{ loading }}</p>
      <p v-else-if="!order.length" class="state-note empty" role="status">{{ empty }}</p>
      <table v-else role="table">
        <caption class="visually-hidden">{{ caption }}</caption>
        <thead role="rowgroup"><tr role="row">
          <th v-for="c in columns" :key="c.id" role="columnheader" scope="col" :class="'c-' + c.id">
            {{ c.label }}</th></tr></thead>
        <tbody role="rowgroup" @keydown="pressed" @click="clicked">
          <LiveRow v-for="key in order" :key="key" :row="rows.get(key)" :columns="columns"
            :fresh="fresh.has(key)" />
        </tbody>
      </table>
      <p class="visually-hidden" aria-live="polite">{{ announced }}</p>
    </div>`,
  data: () => ({
    rows: Vue.shallowReactive(new Map()),
    order: [],
    known: false,
    empty: "",
    announced: "",
    fresh: new Set(),
  }),
  mounted() {
    this.$emit("ready");
  },
  methods: {
    // patch: {upsert, remove, order | null}, or null when only the texts changed;
    // news: {keys, text}: rows that have just arrived, and what to say of them
    patch(patch, empty, news) {
      this.empty = empty;
      this.known = true;
      if (patch) {
        for (const row of patch.upsert) this.rows.set(row.key, row);
        if (patch.order) this.order = patch.order;
        for (const key of patch.remove) this.rows.delete(key);
      }
      if (news) this.tell(news);
    },
    // Keys count while something within a row has the focus (WCAG 2.1.4).
    pressed(event) {
      const row = event.target.closest("tr");
      const typing = event.target.closest("input, select, textarea");
      if (!row || typing || event.ctrlKey || event.altKey || event.metaKey) return;
      const step = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1 }[event.key];
      if (step) {
        const other = step > 0 ? row.nextElementSibling : row.previousElementSibling;
        other?.querySelector("a, button")?.focus();
        event.preventDefault();
      } else if (this.acts && KEYS[event.key] && row.querySelector("[data-act]")) {
        this.act(row.dataset.key, KEYS[event.key]);
        event.preventDefault();
      }
    },
    clicked(event) {
      const button = event.target.closest("[data-act]");
      if (button) this.act(button.closest("tr").dataset.key, button.dataset.act);
    },
    act(key, action) {
      const { revision } = this.rows.get(key);
      this.$emit("act", { key, action, revision, click: crypto.randomUUID() });
    },
    tell({ keys, text }) {
      this.announced = text;
      for (const key of keys) this.fresh.add(key);
      setTimeout(() => keys.forEach((key) => this.fresh.delete(key)), 15000);
    },
  },
};
