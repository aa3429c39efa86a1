//! Charts as inline SVG: small, self-contained, readable without colour, and each with the same facts in words.
//!
//! Horizontal places are percentages and the width is that of the page, so that text keeps its size on a phone.
//! Nothing needs a script, a style attribute or anything from outside; a page that shows a chart has [`STYLE`] in its
//! style sheet and [`PATTERNS`] once in its body.

pub mod attack;
pub mod axis;

pub use attack::AttackTimeline;

/// The style rules of all charts, for light, dark and paper.
pub const STYLE: &str = "\
:root{--ink:#1b1f24;--paper:#fff;--grid:#c9d1d9;--mark:#0b5cad;--hot:#b3261e;--good:#1a6b2f}\
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ec;--paper:#14171a;--grid:#464e57;--mark:#7ab7f5;--hot:#ff8a80;--good:#7fd495}}\
@media print{:root{--ink:#000;--paper:#fff;--grid:#999;--mark:#0b5cad;--hot:#b3261e;--good:#1a6b2f}}\
svg.chart{display:block;width:100%;overflow:visible;font:12px system-ui,sans-serif}\
svg.chart text{fill:var(--ink)}\
svg.chart .grid{stroke:var(--grid);stroke-width:1}\
svg.chart .solid{fill:var(--mark)}svg.chart .hot{fill:var(--hot)}\
svg.chart .line{stroke:var(--ink);stroke-width:2}\
svg.chart .outline{fill:var(--paper);stroke:var(--ink);stroke-width:1.5}\
svg.chart .stroke{fill:none;stroke:var(--ink);stroke-width:2}\
svg.chart .good{fill:var(--good);stroke:var(--good)}svg.chart .bad{fill:none;stroke:var(--hot);stroke-width:2.5}\
svg.chart .dotted,svg.chart .framed{stroke:var(--ink);stroke-width:1}svg.chart .faint{fill:none;stroke:var(--grid);stroke-dasharray:2 2}svg.chart .slack{stroke:var(--ink);stroke-width:1.5;stroke-dasharray:4 3}svg.swatch{display:inline-block;width:28px;vertical-align:middle;margin-right:.4em}svg.chart .ring{fill:none;stroke:var(--ink);stroke-width:2}\
svg.patterns{position:absolute;width:0;height:0}\
svg.patterns rect,svg.patterns circle{fill:var(--ink)}svg.patterns path{stroke:var(--ink)}\
@media print{svg.chart,svg.patterns{print-color-adjust:exact;-webkit-print-color-adjust:exact}}";

/// The fill patterns and the marks that the charts refer to. Once per page.
pub const PATTERNS: &str = "<svg class=\"patterns\" aria-hidden=\"true\" focusable=\"false\"><defs>\
<pattern id=\"p-stripes\" width=\"7\" height=\"7\" patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><rect width=\"1.6\" height=\"7\"/></pattern>\
<pattern id=\"p-dots\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><circle cx=\"2\" cy=\"2\" r=\"1.2\"/></pattern>\
<pattern id=\"p-cross\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><path d=\"M0 0L6 6M6 0L0 6\" stroke-width=\"1\"/></pattern>\
<pattern id=\"p-rows\" width=\"6\" height=\"4\" patternUnits=\"userSpaceOnUse\"><rect width=\"6\" height=\"1.2\"/></pattern>\
</defs></svg>";
