// What every part needs of the document.

export function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

/** Changes a text only if it differs: selections and screen readers are left in peace. */
export function set(node, text) {
  if (node && node.textContent !== text) node.textContent = text;
}
