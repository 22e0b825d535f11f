// What this browser remembers between visits: little, and nothing secret. A
// browser that keeps nothing is one that is asked again.

/**
 * @param {string} name
 * @param {string} text an empty one is forgotten
 */
export function keep(name, text) {
  try {
    if (text) localStorage.setItem(name, text);
    else localStorage.removeItem(name);
  } catch {
    // Storage is full or forbidden.
  }
}

/**
 * @param {string} name
 * @returns {string} the text kept, or ""
 */
export function kept(name) {
  try {
    return localStorage.getItem(name) ?? '';
  } catch {
    return '';
  }
}
