// Shows that the script was loaded, and by which page.
document.documentElement.dataset.script = location.pathname;
