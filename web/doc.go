// Package web is what a person sees on the phone: the pages, their styles and
// scripts, the service worker that shows notifications, and QR codes for screens
// and terminals.
//
// It turns plain data into HTML and knows nothing else. It imports nothing of
// ours, reads no clock, touches no request and keeps no state, so whoever
// serves the pages decides who may see them and fills the view models.
//
// # Guarantees
//
//   - Every value of a view model is data: it is escaped for the place where it
//     stands and set apart from the text around it (the bdi element), so that
//     a device name cannot turn into markup or reorder a sentence.
//   - The pages hold no inline script, style or event handler. They work under
//     [ContentSecurityPolicy], and the tests check it for every page.
//   - The zero value of every view model renders. What is empty is left out.
//   - [Pages.Render] writes a whole page or nothing.
//   - Pages make sense without scripts. What cannot work without one, which is
//     the use of a passkey, says so; declining is a plain form.
//   - A notification says fixed words, offers nothing to answer with, and leads
//     to a page of nod's own. No page is kept for later but the offline page.
//   - Assets are addressed by a hash of their content, need no network and no
//     build step, and are safe to cache for ever.
//
// # Refusals
//
// The package does not decide. It does not validate codes, limit tries or
// choose a warning; it shows what it is told. It holds no secret longer than
// the call that renders it.
package web
