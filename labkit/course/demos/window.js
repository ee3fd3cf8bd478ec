(() => {
  const last = () => [...document.querySelectorAll(".labkit-demo")].pop();
  const over = (demo) => {
    window.labkitDemo = demo;
    demo.setAttribute("popover", "manual");
    demo.setAttribute("tabindex", "-1");
    demo.dataset.lmSuppressShortcuts = "true";
    demo.showPopover?.();
    demo.focus();
  };
  const open = (old, tries) => {
    const demo = last();
    if (demo && demo !== old && demo.querySelector("svg")) over(demo);
    else if (tries) setTimeout(open, 100, old, tries - 1);
  };
  open(window.labkitDemo, 100);
  const keys = (event) => {
    const demo = last();
    if (!demo || event.ctrlKey || event.altKey || event.metaKey) return;
    const isOver = demo.matches(":popover-open");
    if (!isOver && !demo.contains(document.activeElement)) return;
    const buttons = [...demo.querySelectorAll(".labkit-demo-controls button")];
    const key = event.key.toLowerCase();
    const chosen = key === "r" ? demo.querySelector(".labkit-demo-restart")
      : key.length === 1 ? buttons["123456789abcdegh".indexOf(key)] : undefined;
    if (chosen) chosen.click();
    else if (isOver && event.key === "Escape") demo.hidePopover();
    else if (key === "f") isOver ? demo.hidePopover() : over(demo);
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  };
  if (!window.labkitDemoKeys) document.addEventListener("keydown", keys, true);
  window.labkitDemoKeys = true;
})();
