// What a keyboard needs of a page: a box that scrolls can be focused, and both side bars have names.

function letScrollingBoxesBeFocused() {
  for (const box of document.querySelectorAll("article pre, article .cell_output")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
}

addEventListener("DOMContentLoaded", () => {
  document.querySelector(".sidebar-drawer")?.setAttribute("aria-label", "Chapters");
  document.querySelector(".toc-drawer")?.setAttribute("aria-label", "On this page");
  letScrollingBoxesBeFocused();
});
addEventListener("resize", letScrollingBoxesBeFocused);
addEventListener("toggle", letScrollingBoxesBeFocused, true);
