// Draws each figure of a page when it comes near to being seen; the script that can, 4.8 MB of it, is not asked for before.
const source = new URL("plotly.min.js", document.currentScript.src);
let loading;
const plotly = () => loading ??= new Promise((resolve, reject) => {
  document.head.append(Object.assign(document.createElement("script"), { src: source, onload: () => resolve(window.Plotly), onerror: reject }));
});
const observer = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    observer.unobserve(target);
    const { data, layout } = JSON.parse(target.querySelector("script").textContent);
    plotly().then((Plotly) => Plotly.newPlot(target, data, layout, { responsive: true, displaylogo: false }));
  }
}, { rootMargin: "400px" });
document.querySelectorAll(".meshlab-figure").forEach((figure) => observer.observe(figure));
