"""How well text can be told from what is behind it, measured in a browser."""

# The least contrast over all text in an element, as WCAG 2 defines it, with that text and how many there are.
# Colours may be half transparent; behind everything is white.
CONTRAST = """root => {
  const parse = c => { const v = c.match(/[\\d.]+/g).map(Number);
    return {rgb: v.slice(0, 3), a: v[3] ?? 1}; };
  const over = (top, a, under) => top.map((v, i) => a * v + (1 - a) * under[i]);
  const linear = v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const light = rgb => { const [r, g, b] = rgb.map(v => linear(v / 255));
    return .2126 * r + .7152 * g + .0722 * b; };
  const behind = e => { if (!e) return [255, 255, 255];
    const c = parse(getComputedStyle(e).backgroundColor);
    return c.a === 1 ? c.rgb : over(c.rgb, c.a, behind(e.parentElement)); };
  const opacity = e => e ? getComputedStyle(e).opacity * opacity(e.parentElement) : 1;
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  let least = [99, ''], count = 0;
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), e = walker.currentNode.parentElement;
    if (!text || e.tagName === 'svg') continue;
    const paper = behind(e), style = getComputedStyle(e);
    const ink = parse(e.closest('svg') ? style.fill : style.color);
    const a = light(over(ink.rgb, ink.a * opacity(e), paper)), b = light(paper);
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    count += 1;
    if (contrast < least[0]) least = [contrast, text.slice(0, 80)];
  }
  return [...least, count];
}"""
