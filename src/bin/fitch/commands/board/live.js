// The page of a run in progress: every second it is asked for again, and what differs is shown.
(() => {
  const again = async () => {
    setTimeout(again, 1000);
    if (document.hidden) return;
    const response = await fetch(location.href).catch(() => null);
    if (!response || !response.ok) return;
    const now = new DOMParser().parseFromString(await response.text(), "text/html");
    const sections = page => [...page.querySelectorAll("main > section")].map(section => section.id).join();
    const data = now.getElementById("data").textContent, old = document.getElementById("data");
    // It has ended, or has its first epoch.
    if (sections(now) !== sections(document)) return location.reload();
    if (data === old.textContent) return;
    old.textContent = data;
    document.getElementById("summary").replaceChildren(...now.getElementById("summary").childNodes);
    // The head of the history stays, with the order that was chosen and whatever has the focus there.
    const table = document.querySelector("#history table");
    if (table) {
      for (const part of ["caption", "tbody"])
        table.querySelector(part).replaceChildren(...now.querySelector(`#history ${part}`).childNodes);
      sortHistory();
    }
    drawCurves(JSON.parse(data));
  };
  setTimeout(again, 1000);
})();
