// Before anything is drawn: the theme that was chosen, if one was.
(() => {
  try {
    const theme = localStorage.getItem("heartbit-theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // No storage, no choice.
  }
})();
