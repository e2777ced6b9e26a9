// Draws each figure of a page when it comes near to being seen; the script that can, 4.8 MB of it, is not asked for before.
// Words take the colour of the page, and no size that cannot be read; what does not fit then scrolls.
const source = new URL("plotly.min.js", document.currentScript.src), LEAST = 12, WIDE = 1000;
let loading;
const plotly = () => loading ??= new Promise((resolve, reject) => {
  document.head.append(Object.assign(document.createElement("script"), { src: source, onload: () => resolve(window.Plotly), onerror: reject }));
});
const enlarge = (part) => {
  for (const [name, inner] of Object.entries(part ?? {})) {
    if (name.endsWith("font") && inner.size) inner.size = Math.max(inner.size, LEAST);
    if (typeof inner === "string") part[name] = inner.replace(/font-size: ?\d+px/g, `font-size:${LEAST}px`);
    else if (typeof inner === "object" && !ArrayBuffer.isView(inner)) enlarge(inner);
  }
};
const ink = () => getComputedStyle(document.querySelector("main")).color;
const draw = async (figure) => {
  const { data, layout } = JSON.parse(figure.querySelector("script").textContent), place = figure.appendChild(document.createElement("div"));
  place.style.minWidth = `${WIDE}px`;
  enlarge({ data, layout });
  layout.font = { ...layout.font, color: ink(), size: LEAST };
  await (await plotly()).newPlot(place, data, layout, { responsive: true, displaylogo: false });
  figure.tabIndex = 0;
};
const observer = new IntersectionObserver((entries) => entries.filter((each) => each.isIntersecting).forEach(({ target }) => {
  observer.unobserve(target);
  draw(target);
}), { rootMargin: "400px" });
document.querySelectorAll(".meshlab-figure").forEach((figure) => observer.observe(figure));
new MutationObserver(() => document.querySelectorAll(".meshlab-figure .js-plotly-plot").forEach((each) => window.Plotly.relayout(each, { "font.color": ink() })))
  .observe(document.documentElement, { attributeFilter: ["data-theme"] });
