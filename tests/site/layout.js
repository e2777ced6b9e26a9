// Returns what of the page cannot be read in a window this wide: a body that scrolls sideways, cells of tables that are cut off, text under 12 pixels.
() => {
  const found = [], root = document.documentElement, main = document.querySelector("main") ?? document.body;
  if (root.scrollWidth > root.clientWidth) found.push(`the page is ${root.scrollWidth} pixels wide in a window of ${root.clientWidth}`);
  const told = (element) => `<${element.tagName.toLowerCase()} class="${element.getAttribute("class") ?? ""}"> ${element.textContent.trim().slice(0, 40)}`;
  const cut = (cell) => {                 // whether some of the cell can neither be seen nor be scrolled to
    const { left, right } = cell.getBoundingClientRect();
    if (getComputedStyle(cell).overflowX !== "visible" && cell.scrollWidth > cell.clientWidth + 1) return getComputedStyle(cell).overflowX !== "auto";
    for (let around = cell.parentElement; around && around !== root; around = around.parentElement) {
      const { overflowX } = getComputedStyle(around), edge = around.getBoundingClientRect();
      if (overflowX === "auto" || overflowX === "scroll") return false;
      if (overflowX !== "visible" && (right > edge.right + 1 || left < edge.left - 1)) return true;
    }
    return right > root.clientWidth + 1;
  };
  for (const cell of main.querySelectorAll("td, th")) if (cell.checkVisibility() && cut(cell)) found.push(`cut off: ${told(cell)}`);
  const small = new Map(), walker = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || element.closest("script, style, title") || !element.checkVisibility({ visibilityProperty: true })) continue;
    const scale = element instanceof SVGGraphicsElement ? Math.hypot(element.getScreenCTM().a, element.getScreenCTM().b) : 1;
    const size = parseFloat(getComputedStyle(element).fontSize) * scale;
    if (size < 11.95) small.set(told(element), size);
  }
  return [...found, ...[...small].map(([what, size]) => `${size.toFixed(1)} pixels: ${what}`)];
}
