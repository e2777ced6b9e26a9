// One slider over given values, the picture that Python drew, and its sentence.
const WANTED = "value";
const pictured = (state) => state.picture !== undefined;
const named = (value, { unit }) => [value, unit].filter((each) => each !== "").join(" ");

function sentence(state) {
  const more = { ready: " Release the slider: the setting is applied, and requests are sent to see what comes of it.",
    stopped: " Stopped.",
    frozen: " This slider rests: the chapter was begun anew. To move the mesh, run this cell again, after the ones above it." }[state.phase] || "";
  return `${state.sentence || ""}${more}`.trim();
}

function panel(host, value, asked, told) {
  const { label, unit, values } = told;
  const box = element("div", { class: "sliders" });
  const shown = element("div", { class: "picture" });
  const status = element("p", { class: "status", role: "status" });
  const slider = range({ min: 0, max: values.length - 1, step: 1, "aria-label": unit ? `${label}, ${unit}` : label });
  const reading = element("output");
  let current = value;
  const set = (wanted) => {
    current = wanted;
    const at = values.indexOf(wanted);
    slider.value = at;
    slider.style.setProperty("--at", (100 * at) / (values.length - 1));
    slider.setAttribute("aria-valuetext", named(wanted, told));
    reading.textContent = named(wanted, told);
  };
  slider.addEventListener("input", () => set(values[Number(slider.value)]));
  slider.addEventListener("change", () => asked(current));
  slider.disabled = !asked;
  box.append(element("span", {}, label), slider, reading);
  const show = (state) => {
    if (pictured(state)) shown.innerHTML = state.picture; // drawn by Python, of measurements
    shown.classList.toggle("earlier", !pictured(state)); // and of another setting than the slider's
    say(status, state, sentence);
  };
  set(current);
  host.replaceChildren(box, shown, status);
  const rest = () => { slider.disabled = true; };
  return { set, show, rest, box, wanted: () => current };
}
