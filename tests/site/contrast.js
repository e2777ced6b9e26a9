// Returns every text of the page whose contrast with what lies behind it is below WCAG 2.1 AA (4.5, or 3 for large text).
() => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  const blend = (layers) => {             // what the eye sees of colours laid over one another, the farthest first
    pen.clearRect(0, 0, 1, 1);
    for (const [colour, opacity] of layers) { pen.fillStyle = colour; pen.globalAlpha = opacity; pen.fillRect(0, 0, 1, 1); }
    return [...pen.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ancestors = (element) => element ? [...ancestors(element.parentElement), getComputedStyle(element)] : [];
  const seen = (element) => {             // the layers behind the text, and with the text itself
    let opacity = 1;
    const layers = [["#fff", 1], ...ancestors(element).map((style) => [style.backgroundColor, opacity *= style.opacity])];
    return [layers, [...layers, [getComputedStyle(element).color, opacity]]];
  };
  // Behind a text of a drawing lie the page, and what is filled in and was drawn earlier at that place.
  const drawn = (element) => {
    const { x, y, width, height } = element.getBoundingClientRect(), svg = element.closest("svg");
    const opacity = (each) => each === svg ? 1 : getComputedStyle(each).opacity * opacity(each.parentElement);
    const shapes = [...svg.querySelectorAll("rect, path, circle, ellipse, polygon")].filter((each) => {
      const box = each.getBoundingClientRect(), { fill } = getComputedStyle(each);
      return fill !== "none" && !each.closest("defs, marker, clipPath") && each.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING
        && box.left <= x + width / 2 && box.right >= x + width / 2 && box.top <= y + height / 2 && box.bottom >= y + height / 2;
    });
    const behind = [...seen(svg)[0], ...shapes.map((each) => [getComputedStyle(each).fill, getComputedStyle(each).fillOpacity * opacity(each)])];
    return [behind, [...behind, [getComputedStyle(element).fill, getComputedStyle(element).fillOpacity * opacity(element)]]];
  };
  const found = [];
  const walker = document.createTreeWalker(document.querySelector("main") ?? document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || element.closest("script, style, math, title") || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
    const style = getComputedStyle(element), size = parseFloat(style.fontSize);
    const [a, b] = (element.closest("svg") ? drawn : seen)(element).map((layers) => luminance(blend(layers))).sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) found.push(`${ratio.toFixed(2)}: <${element.tagName.toLowerCase()} class="${element.getAttribute("class") ?? ""}"> ${text.slice(0, 40)}`);
  }
  return found;
}
