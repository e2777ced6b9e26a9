// What all widgets that move a mesh have in common: `live`, driven by Python, and `replay`, from a recording.
//
// An output of a notebook is HTML, and as such it is saved. It is a recording (`output`), until a model in a kernel comes forward
// that has the same `place` (`initialize`). So a notebook whose kernel has gone, and a static page, have the recording.
//
// The widget's own script, which stands below this one, says
//   WANTED                             the key of a state under which the setting is found
//   panel(host, wanted, asked, told)   sliders, picture and sentence, in `host`; calls `asked` with a setting when a slider is let go (null: they
//                                      only show). Returns { set(wanted), show(state), rest(), box, wanted() }
//   pictured(state)                    whether a state has something to draw
//   named(wanted, told)                a setting in a few words
// where `told` is what Python says of the widget as a whole.

function element(name, attributes = {}, text = "") {
  const made = /^(svg|g|rect|line|path|text)$/.test(name)
    ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

// A slider that says where it is; in JupyterLab the arrow keys are its own while it has the focus, and move no cell.
function range(attributes) {
  return element("input", { type: "range", "data-lm-suppress-shortcuts": "", ...attributes });
}

// What a state says without a measurement; "" if it has one to speak of.
function going(state) {
  if (state.phase === "refused") return `${state.what}\n${state.do ? `→ ${state.do}` : ""}`;
  if (state.phase === "asked") return "The kernel is asked, and answers when it has nothing else to do. No answer although it is idle? Run this cell again.";
  if (state.phase === "applying") return "Applying it …";
  return "";
}

function say(status, state, sentence) {
  status.classList.toggle("refused", state.phase === "refused");
  status.textContent = going(state) || sentence(state);
}

// Sliders that move the mesh.
function live(host, model) {
  const gone = () => view.show({
    ...model.get("state"), phase: "refused",
    what: "Nobody listens to these sliders any more: their kernel was restarted or has ended.",
    do: "Run this cell again, after the ones above it.",
  });
  const tell = (message) => {
    try {
      model.send(message); // throws if the kernel was restarted, shut down, or died
      return true;
    } catch {
      return gone();
    }
  };
  const ask = (wanted) => tell({ do: "apply", wanted }) && view.show({ ...model.get("state"), [WANTED]: wanted, phase: "asked" });
  const view = panel(host, model.get("state")[WANTED], ask, model.get("told"));
  const again = element("button", { type: "button", title: "Apply the setting and send requests" }, "Measure");
  const stop = element("button", { type: "button", title: "Send no more requests" }, "Stop");
  again.addEventListener("click", () => ask(view.wanted()));
  stop.addEventListener("click", () => tell({ do: "stop" }));
  view.box.after(again, stop);
  let last = model.get("state"); // that has a picture
  const update = () => {
    const state = model.get("state");
    if (pictured(state)) last = state;
    stop.disabled = !["applying", "measuring"].includes(state.phase);
    view.show(state);
  };
  model.on("change:state", update);
  model.on("comm_live_update", gone); // Kernel > Restart, before anybody has touched a slider
  update();
  return () => { // the widget was closed: its last picture stays
    model.off("change:state", update);
    model.off("comm_live_update", gone);
    again.remove();
    stop.remove();
    view.rest();
    view.set(last[WANTED]);
    view.show({ ...last, phase: "frozen" });
  };
}

const models = () => (globalThis.meshlabLiving ??= new Map());

async function initialize({ model }) {
  const place = model.get("place");
  const whole = await model.widget_manager.get_model(place);
  if (!whole.comm_live) return undefined; // its state was saved in the notebook: there is a model, and no kernel
  const tell = () => document.dispatchEvent(new Event("meshlab-living"));
  models().set(place, model);
  tell();
  return () => { // the widget was closed
    models().delete(place);
    tell();
  };
}

function output(host, { recorded, told, place }) {
  const still = [...host.childNodes];
  let [shown, freeze] = [null, null];
  const update = () => {
    const model = models().get(place);
    if (model === shown) return;
    if (model) freeze = live(host, model);
    else if (freeze) freeze();
    else if (recorded.length) replay(host, recorded, told);
    else host.replaceChildren(...still);
    shown = model;
  };
  document.addEventListener("meshlab-living", update);
  update();
}

function replay(host, recorded, told) {
  const view = panel(host, recorded[0][0][WANTED], null, told);
  const buttons = recorded.map((states) => {
    const button = element("button", { type: "button", "aria-pressed": "false" }, named(states[0][WANTED], told));
    button.addEventListener("click", () => play(states, button));
    return button;
  });
  const more = host.closest(".jp-OutputArea") ? "To set any, run this cell again, after the ones above it." : "In JupyterLab you set any.";
  const note = element("p", { class: "note" }, `A recording of a real mesh: choose one of the settings that were measured. ${more}`);
  host.prepend(note, ...buttons);
  let timer = 0;
  const play = (states, pressed) => {
    clearTimeout(timer);
    buttons.forEach((each) => each.setAttribute("aria-pressed", String(each === pressed)));
    view.set(states[0][WANTED]);
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const step = (at) => {
      view.show({ ...states[at], phase: at === states.length - 1 ? "done" : "measuring" });
      if (at < states.length - 1) timer = setTimeout(step, 250, at + 1);
    };
    step(still ? states.length - 1 : 0);
  };
  const last = recorded[recorded.length - 1];
  buttons[buttons.length - 1].setAttribute("aria-pressed", "true");
  view.set(last[0][WANTED]);
  view.show({ ...last[last.length - 1], phase: "done" });
}

