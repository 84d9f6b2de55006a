// Hospital time, how fresh the picture is, and the banners for a silent feed and a lost connection.

export default {
  emits: ["ready"],
  props: { links: Array, here: String, warning: String, person: String },
  template: `
    <div class="status-bar">
      <header class="bar">
        <a class="skip" href="#main">Skip to the content</a>
        <span class="brand">Tocsin</span>
        <nav aria-label="Pages">
          <a v-for="[label, href] in links" :key="href" :href="href"
            :aria-current="href === here ? 'page' : null">{{ label }}</a>
        </nav>
        <span class="clock" title="The newest time that the hospital's systems have reported">
          <span class="clock-label">Hospital time</span>
          <b>{{ s.clock || "–" }}</b> <span class="day">{{ s.day }}</span>
        </span>
        <form v-if="person" class="person" method="post" action="/sign-in/out"
          @submit="leave">
          <span>{{ person }}</span> <button type="submit">Sign out</button></form>
        <span class="pulse" :class="pulse[0]"><i aria-hidden="true"></i>{{ pulse[1] }}</span>
      </header>
      <p v-if="warning" class="notice">{{ warning }}</p>
      <div v-if="lostFor >= 1" class="banner" role="alert">
        <b>Connection to Tocsin lost<span aria-live="off"> for {{ Math.floor(lostFor) }} s</span>:</b>
        the picture is from {{ s.clock || "an unknown time" }}. It will catch up by itself.
      </div>
      <div v-else-if="unheardFor >= 6" class="banner" role="alert">
        <b>This page is no longer brought up to date:</b>
        the picture is from {{ s.clock || "an unknown time" }}. Reload it, and tell the operator.
      </div>
      <div v-else-if="s.down" class="banner" role="alert">
        <span aria-live="off"><b>No data for {{ s.age }}:</b></span>
        the picture is from {{ s.clock || "an unknown time" }}. Do not rely on it until it is live again.
      </div>
      <div v-if="s.problem && lostFor < 1" class="banner soft" role="alert">{{ s.problem }}</div>
    </div>`,
  data: () => ({ s: {}, lostAt: null, lostFor: 0, heardAt: null, unheardFor: 0 }),
  computed: {
    pulse() {
      if (this.lostFor >= 1) return ["off", "Not connected"];
      if (this.unheardFor >= 6) return ["off", "Not updated"];
      if (this.s.down) return ["off", "No data"];
      return this.s.clock ? ["on", "Live"] : ["", "Loading"];
    },
  },
  mounted() {
    this.$emit("ready");
    this.heardAt = performance.now();
    this.timer = setInterval(() => {
      const connected = window.socket?.connected || !window.did_handshake;
      if (connected) this.lostAt = null;
      else this.lostAt ??= performance.now();
      this.lostFor = this.lostAt === null ? 0 : (performance.now() - this.lostAt) / 1000;
      if (!connected) this.heardAt = performance.now();
      this.unheardFor = (performance.now() - this.heardAt) / 1000;
    }, 250);
  },
  unmounted() {
    clearInterval(this.timer);
  },
  methods: {
    leave() {
      window.tocsinLeaving = true; // this page is on its way out already
    },
    set(status) {
      this.s = status;
      this.heardAt = performance.now();
      if (status.title) document.title = status.title;
    },
  },
};
