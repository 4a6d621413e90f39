"use strict";
// What the page does beside its parts: light and dark, copying, and drawing a scenario when it is opened.

{
  const figures = JSON.parse(document.getElementById("data").textContent);
  const timelines = new Map();
  const said = document.getElementById("said");

  const draw = (scenario) => {
    const place = Number(scenario.dataset.place), figure = figures[place];
    if (!scenario.open || timelines.has(place)) return;
    const host = scenario.querySelector(".timeline"), failing = scenario.querySelector(".failures");
    timelines.set(place, host && new Timeline(host, figure));
    if (failing) new Failures(failing, figure, timelines.get(place));
  };
  const scenarios = document.querySelectorAll("details.scenario");
  for (const scenario of scenarios) {
    draw(scenario);
    scenario.addEventListener("toggle", () => draw(scenario));
  }

  const reveal = () => {
    const named = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!named || !named.matches("details.scenario")) return;
    named.open = true;
    named.scrollIntoView();
    named.querySelector("summary").focus({ preventScroll: true });
  };
  addEventListener("hashchange", reveal);
  reveal();

  const root = document.documentElement, system = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
  const shade = () => {
    button.textContent = dark() ? "☀ Light" : "☾ Dark";
    for (const timeline of timelines.values()) timeline?.draw();
  };
  button.hidden = false;
  button.onclick = () => {
    root.dataset.theme = dark() ? "light" : "dark";
    shade();
  };
  system.addEventListener("change", shade);
  shade();

  // A page from a file may not have the clipboard: then the text is selected, to be copied by hand.
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      return "Copied";
    } catch {
      getSelection().selectAllChildren(text);
      return "Selected";
    }
  };
  for (const box of document.querySelectorAll(".copied")) {
    const text = box.querySelector("pre");
    const act = make("button", { type: "button", textContent: "Copy" });
    act.setAttribute("aria-label", `Copy: ${text.getAttribute("aria-label")}`);
    act.onclick = async () => {
      said.textContent = act.textContent = await copy(text);
      setTimeout(() => { act.textContent = "Copy"; said.textContent = ""; }, 2000);
    };
    box.append(act);
  }
}
