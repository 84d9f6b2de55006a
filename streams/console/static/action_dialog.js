// What somebody does with an alert. A native dialog: it keeps the focus and gives it back.

export default {
  emits: ["act"],
  props: { actions: Array, snoozes: Array, reasons: Array, outcomes: Array },
  template: `
    <dialog class="act" ref="dialog" aria-labelledby="act-title" @close="alert = null">
      <form method="dialog" @submit="submit" v-if="alert">
        <h2 id="act-title">{{ alert.title }}</h2>
        <label class="field">What to do
          <select v-model="action">
            <option v-for="[key, text] in actions" :key="key" :value="key">{{ text }}</option>
          </select></label>
        <label v-if="action === 'snooze'" class="field">For how long
          <select v-model="minutes" ref="first">
            <option v-for="[key, text] in snoozes" :key="key" :value="key">{{ text }}</option>
          </select></label>
        <label v-if="action === 'dismiss'" class="field">Reason
          <select v-model="reason" ref="first">
            <option v-for="[key, text] in reasons" :key="key" :value="key">{{ text }}</option>
          </select></label>
        <label v-if="action === 'outcome'" class="field">What became of the patient
          <select v-model="outcome" ref="first">
            <option v-for="[key, text] in outcomes" :key="key" :value="key">{{ text }}</option>
          </select></label>
        <label v-if="action === 'hand_over'" class="field">To whom
          <input v-model="to" ref="first" maxlength="200" required autocomplete="off" /></label>
        <label v-if="says" class="field">{{ needsWords ? "Comment" : "Comment, if any" }}
          <textarea v-model="comment" rows="3" maxlength="1000" :required="needsWords"></textarea>
        </label>
        <div class="buttons">
          <button type="submit" class="button strong">{{ label }}</button>
          <button type="button" class="button" @click="$refs.dialog.close()">Cancel</button>
        </div>
      </form>
    </dialog>`,
  data: () => ({
    alert: null,
    action: "",
    minutes: "30",
    reason: "",
    outcome: "",
    to: "",
    comment: "",
  }),
  computed: {
    label() {
      return (this.actions.find(([key]) => key === this.action) || ["", ""])[1];
    },
    says() {
      return ["dismiss", "hand_over", "comment", "outcome"].includes(this.action);
    },
    needsWords() {
      return this.action === "comment" || (this.action === "dismiss" && this.reason === "other");
    },
  },
  methods: {
    // alert: {id, revision, title}
    open(alert, action) {
      Object.assign(this, { alert, action, to: "", comment: "" });
      this.reason = this.reasons[0][0];
      this.outcome = this.outcomes[0][0];
      this.$nextTick(() => {
        if (!this.$refs.dialog.open) this.$refs.dialog.showModal();
        this.$refs.first?.focus();
      });
    },
    submit() {
      const { action, minutes, reason, outcome, to, comment } = this;
      const values = { minutes, reason, outcome, to, comment };
      this.$emit("act", { ...this.alert, action, values, click: crypto.randomUUID() });
    },
  },
};
