// A labelled control. Native ones: keyboard, phone and screen reader just work. A search box tells
// while somebody types; text is told when the field is left, so that a button pressed next knows it.

export default {
  emits: ["change"], // or the native event of the same name would come through as well
  props: { label: String, kind: String, options: Array, value: String, help: String, rows: Number },
  template: `
    <label class="field" :class="kind">{{ label }}
      <select v-if="kind === 'select'" :value="value" @change="tell">
        <option v-for="[key, text] in options" :key="key" :value="key">{{ text }}</option>
      </select>
      <textarea v-else-if="kind === 'lines'" v-model="draft" :rows="rows" spellcheck="false"
        autocomplete="off" @change="tell"></textarea>
      <input v-else-if="kind === 'check'" type="checkbox" :checked="value === 'yes'"
        @change="$emit('change', $event.target.checked ? 'yes' : '')" />
      <input v-else-if="kind === 'search'" type="search" v-model="draft" autocomplete="off"
        @input="typed" />
      <span v-else-if="kind === 'range'" class="range">
        <input type="range" min="1" max="95" step="1" v-model="draft" @change="tell" />
        <output>{{ draft }} {{ help }}</output></span>
      <input v-else type="text" v-model="draft" :placeholder="help" autocomplete="off"
        spellcheck="false" @change="tell" />
    </label>`,
  data() {
    return { draft: this.value }; // what is being typed outlives a rendering of the page
  },
  watch: {
    value(value) {
      this.draft = value;
    },
  },
  methods: {
    tell(event) {
      this.$emit("change", event.target.value);
    },
    typed(event) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.$emit("change", event.target.value), 150);
    },
  },
};
