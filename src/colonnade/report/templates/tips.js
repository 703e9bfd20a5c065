// What a <title> says, at once and beside the pointer; without this script browsers show it themselves, after a while.
(() => {
  const tip = document.getElementById("tip");
  for (const title of document.querySelectorAll("svg title")) {
    title.parentNode.dataset.tip = title.textContent;
    title.parentNode.setAttribute("aria-label", title.textContent);
    title.remove();
  }
  let told = null;
  const show = (event) => {
    const mark = event.target.closest ? event.target.closest("[data-tip]") : null;
    if (told !== mark) {
      if (told) told.classList.remove("told");
      if (mark) {
        mark.classList.add("told");
        tip.textContent = mark.dataset.tip;
      }
      tip.hidden = !mark;
      told = mark;
    }
    if (!mark) return;
    const gap = 14, width = tip.offsetWidth, height = tip.offsetHeight;
    const left = event.clientX + gap + width > innerWidth ? event.clientX - gap - width : event.clientX + gap;
    const top = event.clientY + gap + height > innerHeight ? event.clientY - gap - height : event.clientY + gap;
    tip.style.left = `${Math.max(4, Math.min(left, innerWidth - width - 4))}px`;
    tip.style.top = `${Math.max(4, top)}px`;
  };
  document.addEventListener("pointermove", show, { passive: true });
  document.addEventListener("pointerdown", show, { passive: true });
  document.addEventListener("scroll", () => { tip.hidden = true; if (told) told.classList.remove("told"); told = null; }, { passive: true, capture: true });
})();
