"use strict";
// The time line of one scenario: panels over one time axis, drawn on a canvas. Knows nothing of the page around it.
// Times are milliseconds from the scenario's start; `view` is what is seen of them.

const PHASE_NAMES = ["upgrade", "back-off", "migration", "reset"];
const VERSIONS = 6; // colours of versions in the style sheet
const COLOURS = ["ink", "soft", "line", "card", "shade", "event", "sent", "fail", "allowed", "p50", "p99", "opened", "cut",
  "link", ...PHASE_NAMES, ...Array.from({ length: VERSIONS }, (_, i) => `version-${i}`)];
const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5, 36e5, 72e5, 216e5, 864e5];
const LEAST_SPAN = 5; // milliseconds across: closer there is nothing to see
const LEFT = 52, RIGHT = 10, TITLE = 20, GAP = 6;
const HEIGHTS = { rate: 104, failed: 40, latency: 92, connections: 56 };
const OVERVIEW = 30;
const NEAR = 6; // pixels around the pointer within which an event is told

const clock = (ms, digits) => {
  const text = new Date(ms).toISOString();
  return digits ? text.slice(11, 23) : text.slice(11, 19);
};
const millis = (value) => value == null ? "–" :
  `${value.toLocaleString("en", { maximumFractionDigits: value < 1 ? 2 : value < 100 ? 1 : 0 })} ms`;
const length = (ms) => ms < 1000 ? `${Math.round(ms)} ms` : ms < 1e5 ? `${(ms / 1000).toFixed(ms < 1e4 ? 2 : 1)} s` :
  `${Math.floor(ms / 6e4)} min ${Math.round(ms % 6e4 / 1000)} s`;
const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
const make = (tag, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children.filter((child) => child != null));
  return made;
};

// The style sheet's colours as a canvas takes them, resolved for light or dark; read anew when `scheme` changes.
let colours = null, coloursOf = null;
const palette = (scheme) => {
  if (colours && coloursOf === scheme) return colours;
  coloursOf = scheme;
  colours = {};
  const probe = document.body.appendChild(make("i", { hidden: true }));
  for (const name of COLOURS) {
    probe.style.color = `var(--${name})`;
    colours[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return colours;
};

class Timeline {
  constructor(host, data) {
    Object.assign(this, { host, data });
    const pad = Math.max(20, data.end * 0.004);
    this.whole = { from: -pad, to: Math.max(data.end, 100) + pad };
    this.view = { ...this.whole };
    this.after = followers(data.events);
    this.panels = this.layout();
    this.build();
    new ResizeObserver(() => this.draw()).observe(this.stage);
  }

  // What there is to draw decides which panels there are.
  layout() {
    const { points, pods, faults } = this.data;
    const panels = [];
    let top = faults.length ? 18 : 0;
    const add = (name, title, brief, height) => {
      panels.push({ name, title, brief, top: top + TITLE, height });
      top += TITLE + height + GAP;
    };
    if (points.at.length) {
      add("rate", "requests per second, by the version that answered", "requests per second", HEIGHTS.rate);
      add("failed", "failed requests", "failed requests", HEIGHTS.failed);
      if (points.p99.some((value) => value != null)) add("latency", "latency in ms, p50 and p99, without what lasts by design", "p50 and p99 in ms", HEIGHTS.latency);
      if (points.opened.some(Boolean) || points.cut.some(Boolean)) add("connections", "connections per second: opened ▲, ended by the server ▼", "connections per second", HEIGHTS.connections);
    }
    this.row = pods.length > 8 ? 20 : 36;
    if (pods.length) add("pods", "each pod: its phases, what it told, failed requests", "phases of each pod", this.row * pods.length);
    this.axisTop = top - GAP;
    this.overviewTop = this.axisTop + 26;
    this.height = this.overviewTop + OVERVIEW + 2;
    return panels;
  }

  build() {
    const button = (text, label, act) => {
      const made = make("button", { type: "button", textContent: text, title: label, onclick: act });
      made.setAttribute("aria-label", label);
      return made;
    };
    this.range = make("span", { className: "range" });
    const upgrades = this.data.upgrades.length ? [
      button("‹ upgrade", "previous upgrade", () => this.step(-1)), button("upgrade ›", "next upgrade", () => this.step(1))] : [];
    const tools = make("div", { className: "tools" },
      button("+", "zoom in", () => this.zoom(0.5)), button("−", "zoom out", () => this.zoom(2)),
      button("←", "earlier", () => this.pan(-0.3)), button("→", "later", () => this.pan(0.3)),
      ...upgrades, button("Reset", "show all", () => this.reset()), this.range);
    tools.setAttribute("role", "toolbar");
    tools.setAttribute("aria-label", "Time line");
    this.canvas = make("canvas");
    this.canvas.setAttribute("aria-hidden", "true");
    this.cross = make("div", { className: "cross", hidden: true });
    this.band = make("div", { className: "band", hidden: true });
    this.tip = make("div", { className: "tip", hidden: true });
    this.stage = make("div", { className: "stage", tabIndex: 0 }, this.canvas, this.cross, this.band, this.tip);
    this.stage.setAttribute("role", "group");
    this.stage.setAttribute("aria-roledescription", "time line");
    this.stage.setAttribute("aria-label", "Requests, failures, latency, connections and the phases of each pod over time. " +
      "Plus and minus zoom, arrows move, N and P go to the next and previous upgrade, 0 shows all. The tables hold the same facts.");
    this.stage.style.height = `${this.height}px`;
    this.host.replaceChildren(tools, this.stage, this.legend(), this.help());
    this.listen();
  }

  legend() {
    const { data } = this, { points } = data;
    const entry = (colour, text) => {
      const key = make("span", { className: "key" });
      key.style.background = `var(--${colour})`;
      return make("li", {}, key, text);
    };
    const seen = new Set(data.phases.map((phase) => phase[2]));
    return make("ul", { className: "legend" },
      ...points.versions.map(([version], i) => entry(`version-${i % VERSIONS}`, `answered by ${version}`)),
      ...(points.at.length ? [entry("fail", "failed"), entry("p50", "p50"), entry("p99", "p99")] : []),
      ...PHASE_NAMES.filter((name) => seen.has(name)).map((name) => entry(name, name)),
      data.failures.some((failure) => failure.allowed) ? entry("allowed", "failed, as the scenario allows") : null,
      data.faults.length ? make("li", {}, "ϟ fault") : null,
      make("li", {}, "grey: from an upgrade's patch until all pods are settled"));
  }

  help() {
    const key = (text) => make("kbd", { textContent: text });
    const left = this.data.left.events;
    return make("p", { className: "note" }, "Drag to zoom, double-click or ", key("0"), " for all; click, then the wheel or ", key("+"), " ", key("−"), " ",
      key("←"), " ", key("→"), "; ", key("N"), " ", key("P"), " for the next and previous upgrade. ",
      `A point covers ${length(this.data.width)}, with its worst latency. Times are UTC.`,
      left ? ` ${counted(left, "event")} of pods are left out here; all are in report.json.` : "");
  }

  // --- what is seen ---

  show(from, to) {
    const room = this.whole.to - this.whole.from;
    const span = Math.min(room, Math.max(LEAST_SPAN, to - from));
    const middle = (from + to) / 2;
    const start = Math.min(Math.max(middle - span / 2, this.whole.from), this.whole.to - span);
    this.view = { from: start, to: start + span };
    this.draw();
  }

  reset() { this.show(this.whole.from, this.whole.to); }

  zoom(factor, at = (this.view.from + this.view.to) / 2) {
    this.show(at - (at - this.view.from) * factor, at + (this.view.to - at) * factor);
  }

  pan(share) {
    const way = (this.view.to - this.view.from) * share;
    this.show(this.view.from + way, this.view.to + way);
  }

  // To the upgrade before or after the one in the middle.
  step(way) {
    const { upgrades } = this.data;
    if (!upgrades.length) return;
    const all = this.view.to - this.view.from > (this.whole.to - this.whole.from) * 0.98;
    const middle = (this.view.from + this.view.to) / 2;
    const at = upgrades.findIndex(([, patched, settled]) => (patched + (settled ?? patched)) / 2 > middle - 1);
    const here = at < 0 ? upgrades.length : at;
    const centred = at >= 0 && Math.abs((upgrades[at][1] + (upgrades[at][2] ?? upgrades[at][1])) / 2 - middle) < 1;
    const next = all ? (way > 0 ? 0 : upgrades.length - 1) : way > 0 ? here + (centred ? 1 : 0) : here - 1;
    const [, patched, settled] = upgrades[Math.min(Math.max(next, 0), upgrades.length - 1)];
    const end = settled ?? patched + 5000, around = Math.max(300, (end - patched) * 0.15);
    this.show(patched - around, end + around);
  }

  // A failure, with what was around it.
  find(at, ended) {
    this.stage.scrollIntoView({ block: "center" });
    this.show(at - 600, ended + 600);
    this.stage.focus({ preventScroll: true });
  }

  x(at) { return LEFT + (at - this.view.from) / (this.view.to - this.view.from) * (this.width - LEFT - RIGHT); }
  at(x) { return this.view.from + (x - LEFT) / (this.width - LEFT - RIGHT) * (this.view.to - this.view.from); }
  wholeX(at) { return LEFT + (at - this.whole.from) / (this.whole.to - this.whole.from) * (this.width - LEFT - RIGHT); }
  wholeAt(x) { return this.whole.from + (x - LEFT) / (this.width - LEFT - RIGHT) * (this.whole.to - this.whole.from); }

  // --- what people do ---

  listen() {
    const { stage } = this;
    const pointers = new Map();
    let drag = null;
    const place = (event) => {
      const box = stage.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    const clamp = (x) => Math.min(Math.max(x, LEFT), this.width - RIGHT);
    stage.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      const { x, y } = place(event);
      pointers.set(event.pointerId, x);
      stage.setPointerCapture(event.pointerId);
      stage.focus({ preventScroll: true });
      const overview = y >= this.overviewTop;
      if (overview) this.centre(x);
      drag = { x, overview, touch: event.pointerType === "touch", view: { ...this.view }, pinch: pointers.size > 1 ? [...pointers.values()] : null };
    });
    stage.addEventListener("pointermove", (event) => {
      const { x, y } = place(event);
      if (!drag) return this.tell(x, y);
      pointers.set(event.pointerId, x);
      if (drag.overview) return this.centre(x);
      if (drag.pinch && pointers.size > 1) return this.pinch(drag, [...pointers.values()]);
      if (drag.touch) {
        const way = (drag.x - x) / (this.width - LEFT - RIGHT) * (drag.view.to - drag.view.from);
        return this.show(drag.view.from + way, drag.view.to + way);
      }
      const [from, to] = [clamp(drag.x), clamp(x)].sort((a, b) => a - b);
      this.tip.hidden = this.cross.hidden = true;
      this.band.hidden = to - from < 3;
      Object.assign(this.band.style, { left: `${from}px`, width: `${to - from}px` });
    });
    const end = (event) => {
      pointers.delete(event.pointerId);
      const { x, y } = place(event);
      if (drag && !this.band.hidden && event.type === "pointerup") {
        this.show(...[this.at(clamp(drag.x)), this.at(clamp(x))].sort((a, b) => a - b));
      } else if (drag?.touch && Math.abs(drag.x - x) < NEAR) this.tell(x, y);
      this.band.hidden = true;
      if (!pointers.size) drag = null;
    };
    stage.addEventListener("pointerup", end);
    stage.addEventListener("pointercancel", end);
    stage.addEventListener("pointerleave", () => { this.tip.hidden = this.cross.hidden = true; });
    stage.addEventListener("dblclick", () => this.reset());
    stage.addEventListener("wheel", (event) => this.wheel(event, place(event).x), { passive: false });
    stage.addEventListener("keydown", (event) => this.key(event));
  }

  centre(x) {
    const half = (this.view.to - this.view.from) / 2, at = this.wholeAt(x);
    this.show(at - half, at + half);
  }

  pinch(drag, [a, b]) {
    const [c, d] = drag.pinch;
    const factor = Math.abs(c - d) / Math.max(10, Math.abs(a - b));
    const perPixel = (drag.view.to - drag.view.from) / (this.width - LEFT - RIGHT);
    const fixed = drag.view.from + ((c + d) / 2 - LEFT) * perPixel;
    const from = fixed - ((a + b) / 2 - LEFT) * perPixel * factor;
    this.show(from, from + (drag.view.to - drag.view.from) * factor);
  }

  // The wheel scrolls the page until the time line was clicked; Ctrl or ⌘ zooms at once, as maps have it.
  wheel(event, x) {
    const meant = event.ctrlKey || event.metaKey || document.activeElement === this.stage;
    if (!meant) return;
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    const all = this.view.to - this.view.from >= this.whole.to - this.whole.from;
    if (all && (sideways || event.deltaY > 0) && !event.ctrlKey) return;
    event.preventDefault();
    if (sideways) this.pan((event.deltaX || event.deltaY) / 1000);
    else this.zoom(Math.exp(Math.min(Math.max(event.deltaY, -240), 240) / 400), this.at(x));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const acts = {
      "+": () => this.zoom(0.5), "=": () => this.zoom(0.5), "-": () => this.zoom(2), ArrowLeft: () => this.pan(-0.3),
      ArrowRight: () => this.pan(0.3), 0: () => this.reset(), Home: () => this.reset(), n: () => this.step(1), p: () => this.step(-1),
    };
    const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  // --- what is told ---

  tell(x, y) {
    const inside = x >= LEFT && x <= this.width - RIGHT && y < this.axisTop;
    this.tip.hidden = this.cross.hidden = !inside;
    if (!inside) return;
    this.cross.style.left = `${x}px`;
    this.cross.style.height = `${this.axisTop}px`;
    this.tip.replaceChildren(...this.facts(this.at(x), NEAR / (this.width - LEFT - RIGHT) * (this.view.to - this.view.from)));
    const right = x > this.width / 2;
    Object.assign(this.tip.style, right ? { right: `${this.width - x + 12}px`, left: "" } : { left: `${x + 12}px`, right: "" });
  }

  facts(at, near) {
    const { points, pods, short, phases, events, kinds, faults, upgrades, width, start, failures } = this.data;
    const lines = [make("b", { textContent: `${clock(start + at, true)} UTC` })];
    const say = (text, quiet) => lines.push(make("div", { textContent: text, className: quiet ? "soft" : "" }));
    const i = lastAt(points.at, at);
    if (i >= 0 && at < points.at[i] + width) {
      const rate = (count) => Math.round(count / width * 1000).toLocaleString("en");
      say(`${rate(points.sent[i])} requests/s` + (points.failed[i] ? `, ${points.failed[i].toLocaleString("en")} failed` : ""));
      if (points.p99[i] != null) say(`p50 ${millis(points.p50[i])}, p99 ${millis(points.p99[i])}`);
      if (points.opened[i] || points.cut[i]) say(`connections: ${points.opened[i]} opened, ${points.cut[i]} ended by the server`);
    }
    const upgrade = upgrades.find(([, patched, settled]) => at >= patched && at < (settled ?? Infinity));
    if (upgrade) say(`upgrade ${upgrade[0]}: ${upgrade[3]} → ${upgrade[4]}`, true);
    for (const [pod, , name, from, to, witness, precision] of phases) {
      if (name !== "settled" && at >= from && at < (to ?? from + 1)) {
        say(`${short[pod]}: ${name}${to == null ? ", not seen to end" : `, ${length(to - from)}`} (${witness} ± ${precision} ms)`);
      }
    }
    const close = (moment) => Math.abs(moment - at) <= near;
    for (const [moment, name, pod, detail] of faults) if (close(moment)) say(`ϟ ${name}${pod ? ` at ${pod}` : ""}${detail ? `: ${detail}` : ""}`);
    const found = events.filter((event) => close(event[1]));
    for (const [pod, , kind, message] of found.slice(0, 6)) {
      const [source, reason, container] = kinds[kind];
      say(`${short[pod]}, ${container ?? source}: ${reason}${message ? ` (${message.slice(0, 120)})` : ""}`, true);
    }
    if (found.length > 6) say(`and ${counted(found.length - 6, "event")} more: zoom in`, true);
    const lost = failures.filter((failure) => close(failure.at));
    for (const failure of lost.slice(0, 3)) say(`✗ ${failure.client}-${failure.sequence}, ${failure.kind}: ${failure.detail.slice(0, 120)}`);
    if (lost.length > 3) say(`and ${counted(lost.length - 3, "failure")} more`);
    return lines;
  }

  // --- drawing ---

  draw() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = null;
      this.paint();
    });
  }

  paint() {
    this.width = this.stage.clientWidth;
    if (!this.width) return;
    const scale = devicePixelRatio || 1;
    this.canvas.width = Math.round(this.width * scale);
    this.canvas.height = Math.round(this.height * scale);
    this.canvas.style.height = `${this.height}px`;
    const pen = this.pen = this.canvas.getContext("2d");
    pen.scale(scale, scale);
    this.colour = palette(getComputedStyle(document.body).backgroundColor);
    this.font = getComputedStyle(this.stage).fontFamily;
    pen.font = `11px ${this.font}`;
    pen.textBaseline = "middle";
    this.labels = [];
    this.ticks();
    this.clipped(0, this.axisTop, () => this.shades());
    for (const panel of this.panels) {
      this.text(pen.measureText(panel.title).width < this.width - LEFT ? panel.title : panel.brief, LEFT, panel.top - TITLE / 2 + 1, this.colour.soft);
      this.clipped(panel.top - 1, panel.height + 2, () => this[panel.name](panel));
    }
    this.clipped(0, this.axisTop, () => this.faults());
    for (const [text, y] of this.labels) this.text(text, LEFT - 6, y, this.colour.soft, "right");
    this.overview();
    const seen = this.inView();
    this.range.textContent = `${clock(this.data.start + this.view.from, true)} – ${clock(this.data.start + this.view.to, true)}, ` +
      `${length(this.view.to - this.view.from)}, ${counted(seen.upgrades, "upgrade")}, ${counted(seen.failed, "failure")}`;
  }

  inView() {
    const { points, upgrades, width } = this.data, { from, to } = this.view;
    const inside = upgrades.filter(([, patched, settled]) => patched < to && (settled ?? patched) >= from);
    const failed = points.failed.reduce((sum, count, i) => sum + (points.at[i] + width > from && points.at[i] < to ? count : 0), 0);
    return { upgrades: inside.length, failed };
  }

  clipped(top, height, act) {
    this.pen.save();
    this.pen.beginPath();
    this.pen.rect(LEFT, top, this.width - LEFT - RIGHT, height);
    this.pen.clip();
    act();
    this.pen.restore();
  }

  text(text, x, y, colour, align = "left") {
    Object.assign(this.pen, { fillStyle: colour, textAlign: align });
    this.pen.fillText(text, x, y);
  }

  // A line across; its label stands left of the panel, where the panel's clip would cut it off.
  rule(y, text) {
    const { pen } = this;
    pen.fillStyle = this.colour.line;
    pen.fillRect(LEFT, Math.round(y), this.width - LEFT - RIGHT, 1);
    if (text != null) this.labels.push([text, y]);
  }

  ticks() {
    const { pen, colour } = this, span = this.view.to - this.view.from, zero = this.data.start;
    const pixel = span / (this.width - LEFT - RIGHT);
    const step = STEPS.find((one) => one >= pixel * (one < 1000 ? 84 : 62)) ?? STEPS.at(-1);
    for (let at = Math.ceil((zero + this.view.from) / step) * step - zero; at <= this.view.to; at += step) {
      const x = this.x(at);
      pen.fillStyle = colour.line;
      pen.fillRect(Math.round(x), this.panels[0]?.top ?? 0, 1, this.axisTop - (this.panels[0]?.top ?? 0) + 4);
      const half = step < 1000 ? 36 : 24;
      if (x > LEFT + half - 20 && x < this.width - half) this.text(clock(zero + at, step < 1000), x, this.axisTop + 12, colour.soft, "center");
    }
  }

  shades() {
    const top = this.panels[0]?.top ?? 0;
    this.pen.fillStyle = this.colour.shade;
    for (const [, patched, settled] of this.data.upgrades) {
      const x = this.x(patched), end = this.x(settled ?? this.whole.to);
      if (end >= LEFT && x <= this.width) this.pen.fillRect(x, top, Math.max(1, end - x), this.axisTop - top);
    }
  }

  // The points in view, from one before to one after.
  visible() {
    const { at } = this.data.points;
    return [Math.max(0, lastAt(at, this.view.from)), Math.min(at.length - 1, lastAt(at, this.view.to) + 1)];
  }

  // A filled or stroked staircase of `value(i)`; null breaks it.
  stairs(panel, y, { fill, stroke, base }) {
    const { pen } = this, { at } = this.data.points, { width } = this.data, [first, last] = this.visible();
    pen.beginPath();
    let open = false;
    for (let i = first; i <= last; i++) {
      const level = y(i);
      if (level == null) { open = false; continue; }
      const x = this.x(at[i]), end = this.x(at[i] + width);
      if (open && !fill) pen.lineTo(x, level); else if (!open || !fill) pen.moveTo(x, level); else pen.lineTo(x, level);
      pen.lineTo(end, level);
      open = true;
    }
    if (fill) {
      for (let i = last; i >= first; i--) {
        const level = base(i);
        pen.lineTo(this.x(at[i] + width), level);
        pen.lineTo(this.x(at[i]), level);
      }
      pen.closePath();
      pen.fillStyle = fill;
      pen.fill();
    } else {
      Object.assign(pen, { strokeStyle: stroke, lineWidth: last - first > this.width ? 0.6 : 1.3, lineJoin: "round" });
      pen.stroke();
    }
  }

  most(values) {
    const [first, last] = this.visible();
    let most = 0;
    for (let i = first; i <= last; i++) most = Math.max(most, values[i] ?? 0);
    return most;
  }

  rate(panel) {
    const { points, width } = this.data, perSecond = 1000 / width;
    const answered = points.at.map((_, i) => points.versions.reduce((sum, [, counts]) => sum + counts[i], 0));
    const top = nice(Math.max(this.most(points.sent), this.most(answered)) * perSecond);
    const y = (count) => panel.top + panel.height * (1 - count * perSecond / top);
    for (const share of [0, 0.5, 1]) this.rule(panel.top + panel.height * (1 - share), (top * share).toLocaleString("en", { notation: "compact" }));
    let below = points.at.map(() => 0);
    points.versions.forEach(([, counts], number) => {
      const base = below, sum = base.map((count, i) => count + counts[i]);
      this.stairs(panel, (i) => y(sum[i]), { fill: this.colour[`version-${number % VERSIONS}`], base: (i) => y(base[i]) });
      below = sum;
    });
    this.stairs(panel, (i) => y(points.sent[i]), { stroke: this.colour.sent });
  }

  failed(panel) {
    const { points } = this.data, most = this.most(points.failed);
    this.rule(panel.top + panel.height, "0");
    if (most) this.rule(panel.top, most.toLocaleString("en", { notation: "compact" }));
    this.bars(panel, points.failed, Math.max(1, most), this.colour.fail, panel.top + panel.height, -panel.height);
  }

  bars(panel, values, most, colour, base, way) {
    const { at } = this.data.points, { width } = this.data, [first, last] = this.visible();
    this.pen.fillStyle = colour;
    for (let i = first; i <= last; i++) {
      if (!values[i]) continue;
      const x = this.x(at[i]), high = way * values[i] / most;
      const least = Math.sign(way) * Math.max(2, Math.abs(high));
      this.pen.fillRect(x, base, Math.max(2, this.x(at[i] + width) - x - 0.5), least);
    }
  }

  latency(panel) {
    const { p50, p99 } = this.data.points, [first, last] = this.visible();
    let low = Infinity, high = 0;
    for (let i = first; i <= last; i++) {
      if (p50[i] != null) low = Math.min(low, p50[i]);
      if (p99[i] != null) high = Math.max(high, p99[i]);
    }
    if (!high) return;
    low = Math.max(low / 1.3, 1e-3);
    high = Math.max(high * 1.3, low * 4);
    const scale = panel.height / Math.log(high / low);
    const y = (value) => value == null ? null : panel.top + panel.height - Math.log(Math.max(value, low) / low) * scale;
    const digits = high / low > 200 ? [1] : high / low > 20 ? [1, 3] : [1, 2, 5];
    for (let power = -3; power < 7; power++) {
      for (const digit of digits) {
        const value = digit * 10 ** power;
        if (value >= low && value <= high) this.rule(y(value), value.toLocaleString("en", { maximumFractionDigits: 3, notation: value >= 1e4 ? "compact" : "standard" }));
      }
    }
    this.stairs(panel, (i) => y(p50[i]), { stroke: this.colour.p50 });
    this.stairs(panel, (i) => y(p99[i]), { stroke: this.colour.p99 });
  }

  connections(panel) {
    const { points, width } = this.data, half = points.cut.some(Boolean) ? panel.height / 2 : panel.height, middle = panel.top + half;
    const most = Math.max(this.most(points.opened), this.most(points.cut), 1);
    this.rule(panel.top, Math.round(most * 1000 / width).toLocaleString("en", { notation: "compact" }));
    this.rule(middle, "0");
    this.bars(panel, points.opened, most, this.colour.opened, middle, -half);
    this.bars(panel, points.cut, most, this.colour.cut, middle + 1, half);
  }

  pods(panel) {
    const { pen, colour, row } = this, { pods, short, phases, events, kinds, failures, end } = this.data;
    const roomy = row > 24, band = roomy ? 13 : 11;
    pods.forEach((_, i) => this.rule(panel.top + row * (i + 1)));
    short.forEach((name, i) => this.labels.push([this.fitted(name), panel.top + row * i + band / 2 + 3]));
    for (const [pod, , name, from, to] of phases) {
      const x = this.x(from), right = this.x(to ?? end);
      if (name === "settled" || right < LEFT || x > this.width) continue;
      pen.fillStyle = colour[name];
      pen.fillRect(x, panel.top + row * pod + 3, Math.max(1, right - x), band);
      const shown = Math.min(right, this.width - RIGHT) - Math.max(x, LEFT);
      if (shown > pen.measureText(name).width + 8) this.text(name, Math.max(x, LEFT) + 4, panel.top + row * pod + 4 + band / 2, "#1b1c1a");
    }
    const free = pods.map(() => -Infinity), [begin, stop] = [this.view.from, this.view.to];
    const dense = events.reduce((sum, [, at]) => sum + (at >= begin && at <= stop), 0) / pods.length / this.width;
    pen.globalAlpha = Math.min(1, 0.25 / dense);
    for (const [number, [pod, at, kind]] of events.entries()) {
      const x = this.x(at), top = panel.top + row * pod;
      if (x < LEFT || x > this.width - RIGHT) continue;
      const [source, reason] = kinds[kind], own = source === "sidecar";
      pen.fillStyle = own ? colour.event : colour.soft;
      pen.fillRect(x, top + (roomy ? band + 6 : 3), 1, roomy ? (own ? 9 : 6) : band);
      if (!roomy || x < free[pod]) continue;
      const wide = pen.measureText(reason).width;
      const next = Math.min(this.x(this.after[number]), this.width - RIGHT);
      if (x + wide + 8 < next) {
        this.text(reason, x + 3, top + band + 12, pen.fillStyle);
        free[pod] = x + wide + 8;
      }
    }
    pen.globalAlpha = 1;
    for (const failure of failures) {
      const pod = pods.indexOf(failure.pod), x = this.x(failure.at);
      if (pod < 0 || x < LEFT || x > this.width - RIGHT) continue;
      pen.fillStyle = failure.allowed ? colour.allowed : colour.fail;
      pen.fillRect(x - 1, panel.top + row * pod + band + 1, 2, 5);
    }
  }

  fitted(name) {
    let text = name;
    while (text.length > 2 && this.pen.measureText(text).width > LEFT - 8) text = `…${text.slice(text[0] === "…" ? 2 : 1)}`;
    return text;
  }

  faults() {
    const { pen, colour } = this;
    let free = -Infinity;
    for (const [at, name] of this.data.faults) {
      const x = this.x(at);
      if (x < LEFT || x > this.width - RIGHT) continue;
      pen.fillStyle = colour.fail;
      for (let y = 16; y < this.axisTop; y += 6) pen.fillRect(x, y, 1, 3);
      if (x < free) continue;
      const wide = pen.measureText(`ϟ ${name}`).width, right = x + wide > this.width - RIGHT;
      this.text(`ϟ ${name}`, right ? x + 4 : x - 3, 9, colour.fail, right ? "right" : "left");
      free = x + wide + 10;
    }
  }

  // All of it in small, and which part is seen.
  overview() {
    const { pen, colour, overviewTop: top } = this, { points, upgrades, width } = this.data;
    pen.fillStyle = colour.shade;
    pen.fillRect(LEFT, top, this.width - LEFT - RIGHT, OVERVIEW);
    for (const [, patched, settled] of upgrades) {
      const x = this.wholeX(patched);
      pen.fillRect(x, top, Math.max(0.5, this.wholeX(settled ?? patched) - x), OVERVIEW);
    }
    const most = points.sent.reduce((a, b) => Math.max(a, b), 1);
    pen.beginPath();
    points.at.forEach((at, i) => pen.lineTo(this.wholeX(at), top + OVERVIEW - 3 - points.sent[i] / most * (OVERVIEW - 8)));
    Object.assign(pen, { strokeStyle: colour.sent, lineWidth: 0.8 });
    pen.stroke();
    pen.fillStyle = colour.fail;
    points.at.forEach((at, i) => points.failed[i] && pen.fillRect(this.wholeX(at), top, Math.max(1.5, this.wholeX(at + width) - this.wholeX(at)), OVERVIEW));
    for (const [at] of this.data.faults) pen.fillRect(this.wholeX(at), top, 1, OVERVIEW);
    const from = this.wholeX(this.view.from), to = this.wholeX(this.view.to);
    Object.assign(pen, { strokeStyle: colour.link, lineWidth: 1.5 });
    pen.strokeRect(from + 0.75, top + 0.75, Math.max(3, to - from - 1.5), OVERVIEW - 1.5);
  }
}

// The number of the last moment that is not after `at`; -1 if all are.
function lastAt(moments, at) {
  let low = 0, high = moments.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (moments[middle] <= at) low = middle + 1; else high = middle;
  }
  return low - 1;
}

// When each event's pod has its next one: a label has to end before it.
function followers(events) {
  const next = new Map(), after = new Array(events.length);
  for (let i = events.length - 1; i >= 0; i--) {
    const [pod, at] = events[i];
    after[i] = next.get(pod) ?? Infinity;
    next.set(pod, at);
  }
  return after;
}

// The next round number.
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((digit) => digit * power >= value) * power;
}
