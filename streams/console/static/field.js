// A labelled select or search box. Native controls: keyboard, phone and screen reader just work.

export default {
  emits: ["change"], // or the native event of the same name would come through as well
  props: { label: String, options: Array, value: String },
  template: `
    <label class="field">{{ label }}
      <select v-if="options" :value="value" @change="$emit('change', $event.target.value)">
        <option v-for="[key, text] in options" :key="key" :value="key">{{ text }}</option>
      </select>
      <input v-else type="search" :value="value" autocomplete="off" @input="typed" />
    </label>`,
  methods: {
    typed(event) {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.$emit("change", event.target.value), 150);
    },
  },
};
