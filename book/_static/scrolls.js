// What scrolls sideways can be reached, and scrolled, by the keyboard.
const reach = () => document.querySelectorAll("main :is(figure, .text_html, pre, .meshlab-figure, .pst-scrollable-table-container)").forEach((each) => {
  if (each.scrollWidth > each.clientWidth) each.tabIndex = 0; else if (each.tabIndex === 0) each.removeAttribute("tabindex");
});
addEventListener("load", reach);
addEventListener("resize", reach);
addEventListener("toggle", reach, true);
