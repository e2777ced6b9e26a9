// Sliders for weights and a picture of the shares.
const WANTED = "weights";
const pictured = (state) => state.sent !== undefined;
const named = (weights) => Object.values(weights).join(" / ");

// Set one weight; the others keep their proportions, in whole numbers, so that all add up to 100 again.
function rebalance(weights, name, value) {
  const others = Object.keys(weights).filter((each) => each !== name);
  if (!others.length) return { [name]: 100 };
  const left = 100 - value;
  const before = others.reduce((sum, each) => sum + weights[each], 0);
  const exact = others.map((each) => (before ? (weights[each] * left) / before : left / others.length));
  const whole = exact.map(Math.floor);
  const order = exact.map((share, at) => [share - whole[at], at]).sort((a, b) => b[0] - a[0] || a[1] - b[1]);
  let missing = left - whole.reduce((sum, each) => sum + each, 0);
  for (const [, at] of order) if (missing-- > 0) whole[at] += 1;
  const set = { [name]: value };
  others.forEach((each, at) => { set[each] = whole[at]; });
  return Object.fromEntries(Object.keys(weights).map((each) => [each, set[each]]));
}

// The picture: for each version a bar (seen), its interval, and a mark (wanted). Returns a function that draws a state.
// It is drawn as wide as there is room, so that its letters keep their size; where there is little, numbers stand below their bars.
function picture(versions, room) {
  const wide = Math.min(room || 672, 672);
  const narrow = wide < 640;
  const [left, width, row, top] = narrow ? [32, wide - 56, 58, 0] : [40, 450, 38, 4];
  const above = narrow ? 8 : 0; // how far a bar stands above the middle of its row
  const bottom = top + row * versions.length;
  const x = (percent) => left + (width * percent) / 100;
  const svg = element("svg", { viewBox: `0 0 ${wide} ${bottom + 46}`, role: "img" });
  for (let percent = 0; percent <= 100; percent += 20) {
    svg.append(element("line", { class: "grid", x1: x(percent), x2: x(percent), y1: top, y2: bottom }));
    svg.append(element("text", { class: "small", x: x(percent), y: bottom + 15, "text-anchor": "middle" }, `${percent} %`));
  }
  const legend = [["seen", "seen"], ["interval", "99 % interval"], ["wanted", "wanted"]];
  legend.forEach(([kind, text], at) => {
    const [from, y] = [left + [0, 70, 190][at], bottom + 38];
    if (kind === "seen") svg.append(element("rect", { class: kind, x: from, y: y - 9, width: 22, height: 9 }));
    else if (kind === "interval") svg.append(element("path", { class: kind, d: `M${from} ${y - 8}v8m0-4h22m0-4v8` }));
    else svg.append(element("line", { class: kind, x1: from + 11, x2: from + 11, y1: y - 12, y2: y + 2 }));
    svg.append(element("text", { class: "small", x: from + 29, y }, text));
  });
  const rows = versions.map((version, at) => {
    const middle = top + row * (at + 0.5) - above;
    const bar = element("rect", { class: "seen", "data-version": version, x: left, y: middle - 11, width: 0, height: 22 });
    const interval = element("path", { class: "interval" });
    const mark = element("line", { class: "wanted", y1: middle - 16, y2: middle + 16 });
    const told = element("text", narrow ? { x: left, y: middle + 30 } : { x: left + width + 14, y: middle + 4 });
    svg.append(element("text", { x: left - 8, y: middle + 4, "text-anchor": "end" }, version), bar, interval, mark, told);
    return { version, middle, bar, interval, mark, told };
  });
  const draw = (state) => {
    const answered = versions.reduce((sum, each) => sum + ((state.counts || {})[each] || 0), 0);
    const said = [];
    for (const { version, middle, bar, interval, mark, told } of rows) {
      const share = answered ? (100 * ((state.counts || {})[version] || 0)) / answered : 0;
      const [low, high] = ((state.intervals || {})[version]) || [];
      bar.setAttribute("width", (width * share) / 100);
      interval.setAttribute("d", low === undefined ? "" : `M${x(low)} ${middle - 6}v12m0-6H${x(high)}m0-6v12`);
      mark.setAttribute("x1", x(state.weights[version] || 0));
      mark.setAttribute("x2", x(state.weights[version] || 0));
      told.textContent = answered ? `${share.toFixed(1)} %, wanted ${state.weights[version] || 0} %` : "";
      said.push(`${version} ${share.toFixed(1)} percent, wanted ${state.weights[version] || 0}`);
    }
    svg.setAttribute("aria-label", answered ? said.join("; ") : "Nothing measured yet.");
  };
  return { svg, draw };
}

// What is going on, in a few sentences.
function sentence(state) {
  const more = { ready: ` Release a slider: its weights are applied, and ${state.n} requests are sent to see what comes of them.`,
    frozen: " These sliders rest: the chapter was begun anew. To move the mesh, run this cell again, after the ones above it." }[state.phase] || "";
  if (!pictured(state)) return state.phase === "stopped" ? "Stopped." : more.trim();
  const again = state.names ? "The names of the versions had gone, and were applied again. " : "";
  const effect = state.seconds === null ? "The mesh had these weights already. "
    : `In effect on all ${state.proxies} proxies after ${state.seconds.toFixed(2)} s. `;
  const failed = state.failed ? ` ${state.failed} of them failed.` : "";
  const stopped = state.phase === "stopped" ? " Stopped." : "";
  return `${again}${effect}${state.sent} of ${state.n} requests sent.${failed}${stopped} ${verdict(state)}${more}`;
}

// A verdict is given once, at the number of requests that was fixed before. Until then p is only on its way.
function verdict(state) {
  if (state.sent < state.n) {
    const now = state.p === null ? "Too few for a test as yet." : `p = ${state.p} so far.`;
    return `${now} No verdict before all ${state.n}, the number that was fixed: who judges at each look is wrong more often than α says.`;
  }
  if (state.p === null) return "Too few for a test.";
  const agrees = state.p >= state.alpha;
  const lowest = state.lowest < state.p ? ` On the way p had been as low as ${state.lowest}.` : "";
  const missed = agrees && (state.missed || []).length
    ? ` The interval of ${state.missed.join(" and ")} misses its mark all the same: by chance alone that happens in up to `
      + `${Object.values(state.weights).filter(Boolean).length} of 100 such pictures. The test judges all bars together.` : "";
  return `χ² test of all ${state.sent}: p = ${state.p}, which ${agrees ? "agrees with" : "contradicts"} the weights (α = ${state.alpha}).${lowest}${missed}`;
}

// Sliders above, picture, sentence below.
function panel(host, weights, asked) {
  let current = { ...weights };
  const versions = Object.keys(weights);
  const shares = picture(versions, host.clientWidth);
  const box = element("div", { class: "sliders" });
  const status = element("p", { class: "status", role: "status" });
  const sliders = versions.map((version) => {
    const slider = range({ min: 0, max: 100, step: 1, "aria-label": `weight of ${version}, percent` });
    const value = element("output");
    slider.addEventListener("input", () => set(rebalance(current, version, Number(slider.value))));
    slider.addEventListener("change", () => asked(current));
    slider.disabled = !asked;
    box.append(element("span", {}, version), slider, value);
    return { version, slider, value };
  });
  const set = (wanted) => {
    current = { ...wanted };
    for (const { version, slider, value } of sliders) {
      slider.value = current[version];
      slider.style.setProperty("--at", current[version]);
      value.textContent = `${current[version]} %`;
    }
  };
  const show = (state) => {
    shares.draw(state);
    say(status, state, sentence);
  };
  set(current);
  host.replaceChildren(box, shares.svg, status);
  const rest = () => sliders.forEach(({ slider }) => { slider.disabled = true; });
  return { set, show, rest, box, wanted: () => current };
}
