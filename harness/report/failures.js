"use strict";
// The failures of one scenario: filters, a search, and what was around each. Knows of the time line that it can show one there.

const ROWS = 100; // laid out at once
const SHOWN = { "": "all", counts: "that count", allowed: "allowed", doubt: "phase in doubt" };

class Failures {
  constructor(host, data, timeline) {
    Object.assign(this, { host, data, timeline, shown: ROWS });
    this.short = new Map(data.pods.map((pod, i) => [pod, data.short[i]]));
    this.body = host.querySelector("tbody");
    this.text = data.failures.map((failure) => JSON.stringify([failure.client, failure.sequence, failure.pod, failure.detail, failure.served,
      failure.allowed, failure.kind, failure.class, failure.phase]).toLowerCase());
    this.found = make("span", { className: "found" });
    this.found.setAttribute("role", "status");
    this.more = make("button", { type: "button", hidden: true, onclick: () => this.extend() });
    const choose = (label, name, options) => {
      const select = make("select", { name, onchange: () => this.fill() }, ...options.map(([value, text]) => make("option", { value, textContent: text })));
      return make("label", {}, label, select);
    };
    const values = (field) => [["", "all"], ...[...new Set(data.failures.map((failure) => failure[field]))].sort().map((value) => [value, value])];
    this.search = make("input", { type: "search", placeholder: "request, pod, detail …", oninput: () => this.fill() });
    this.form = make("div", { className: "filters" },
      choose("class", "class", values("class")), choose("phase", "phase", values("phase")), choose("kind", "kind", values("kind")),
      choose("shown", "shown", Object.entries(SHOWN)), make("label", {}, "search", this.search), this.found);
    this.form.setAttribute("role", "search");
    this.form.setAttribute("aria-label", "Filter failures");
    host.prepend(this.form);
    host.append(this.more);
    host.querySelector("caption > span").textContent = "Press a request for its neighbours and the log lines around it. " +
      "The phase is the one of an upgrade that the request met, else that of its send time." +
      (data.left.failures ? ` ${counted(data.left.failures, "failure")} more are in report.json.` : "");
    this.fill();
  }

  fill() {
    const wanted = Object.fromEntries([...this.form.querySelectorAll("select")].map((select) => [select.name, select.value]));
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    this.matching = this.data.failures.filter((failure, i) =>
      ["class", "phase", "kind"].every((field) => !wanted[field] || failure[field] === wanted[field]) &&
      (!wanted.shown || { counts: !failure.allowed, allowed: failure.allowed, doubt: failure.doubt }[wanted.shown]) &&
      words.every((word) => this.text[i].includes(word)));
    this.body.replaceChildren();
    this.count = 0;
    this.extend();
    this.found.textContent = `${this.matching.length.toLocaleString("en")} of ${counted(this.data.failures.length, "failure")}`;
  }

  extend() {
    const next = this.matching.slice(this.count, this.count + ROWS);
    this.body.append(...next.map((failure) => this.row(failure)));
    this.count += next.length;
    const rest = this.matching.length - this.count;
    this.more.hidden = !rest;
    this.more.textContent = `${Math.min(rest, ROWS)} more of ${rest.toLocaleString("en")}`;
  }

  row(failure) {
    const toggle = make("button", { type: "button", className: "toggle", textContent: `${failure.client}-${failure.sequence}` });
    toggle.setAttribute("aria-expanded", "false");
    const head = make("th", { scope: "row" }, toggle);
    const small = (text, className = "") => make("small", { textContent: ` ${text}`, className });
    const row = make("tr", {}, head, make("td", { textContent: failure.class }), make("td", { textContent: this.short.get(failure.pod) ?? failure.pod, title: failure.pod }),
      make("td", { textContent: clock(this.data.start + failure.at, true) }), make("td", { className: "n", textContent: millis(failure.ended - failure.at) }),
      make("td", {}, failure.phase, failure.upgrade == null ? null : small(`upgrade ${failure.upgrade}`), failure.doubt ? small("in doubt") : null),
      make("td", { textContent: failure.kind }),
      make("td", { className: "free" }, failure.detail, failure.served ? small(`served by ${failure.served}`) : null,
        failure.allowed ? small(`allowed: ${failure.allowed}`, "kept") : null));
    let around = null;
    toggle.onclick = () => {
      around ??= this.around(failure, row);
      const open = toggle.getAttribute("aria-expanded") !== "true";
      toggle.setAttribute("aria-expanded", String(open));
      if (open) row.after(around); else around.remove();
    };
    return row;
  }

  around(failure, row) {
    const cell = make("td", { colSpan: row.cells.length }, this.neighbours(failure));
    if (this.timeline) cell.append(make("button", { type: "button", textContent: "Show on the time line", onclick: () => this.timeline.find(failure.at, failure.ended) }));
    cell.append(this.log(failure));
    return make("tr", { className: "around" }, cell);
  }

  neighbours(failure) {
    const card = (title, one, className) => {
      if (!one) return make("li", {}, make("span", { textContent: title }), make("small", { textContent: "none" }));
      const [sequence, at, ended, how, served] = one;
      return make("li", { className }, make("span", { textContent: title }), make("b", { textContent: `${failure.client}-${sequence}: ${how}` }),
        make("small", { textContent: `sent at ${clock(this.data.start + at, true)}, ended after ${millis(ended - at)}${served ? `, served by ${served}` : ""}` }));
    };
    const well = (one) => one && one[3] === "answered" ? "well" : "this";
    return make("ul", { className: "neighbours" }, card("the client's request before", failure.previous, well(failure.previous)),
      card("this one", [failure.sequence, failure.at, failure.ended, failure.kind, failure.served], "this"),
      card("its request after", failure.following, well(failure.following)));
  }

  log(failure) {
    if (!failure.log) return make("p", { className: "note", textContent: "No log lines were kept for it." });
    const entry = (at, pod, source, text, className = "") => make("tr", { className },
      ...[`${at >= failure.at ? "+" : "−"}${Math.abs(at - failure.at).toFixed(1)} ms`, pod, source, text].map((part) => make("td", { textContent: part })));
    const rows = failure.log.map((number) => this.data.lines[number]).sort((a, b) => a[0] - b[0]);
    const split = rows.findIndex((line) => line[0] > failure.at);
    const made = rows.map((line) => entry(...line));
    made.splice(split < 0 ? made.length : split, 0, entry(failure.at, failure.pod, "client", `${failure.client}-${failure.sequence} sent`, "this"));
    const log = make("div", { className: "log", tabIndex: 0 }, make("table", {}, make("tbody", {}, ...made)));
    log.setAttribute("role", "region");
    log.setAttribute("aria-label", "Log lines around it, times from its send time");
    return log;
  }
}
