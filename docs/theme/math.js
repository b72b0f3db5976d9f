// Fenced ```math blocks, which GitHub typesets by itself, become displayed formulas for mdBook's MathJax. Without a network they
// stay what they are: the formula's source.
"use strict";
document.querySelectorAll("pre > code.language-math").forEach((code) => {
    const formula = document.createElement("div");
    formula.textContent = "\\[" + code.textContent + "\\]";
    code.parentElement.replaceWith(formula);
    if (window.MathJax && window.MathJax.Hub) {
        window.MathJax.Hub.Queue(["Typeset", window.MathJax.Hub, formula]);
    }
});
