// The page of a television that waits for a phone.
//
// It is a plain script for old browsers: no modules, no fetch, no promises. It
// holds one request open at nod until the decision (the wait) and another that
// tells it what happens meanwhile (the state). Whatever breaks on the way is
// still waiting: only nod's own words end it.
(function () {
  'use strict';

  var body = document.body;
  var nod = body.getAttribute('data-nod');
  var client = body.getAttribute('data-client');
  var username = body.getAttribute('data-username');

  var MAX_CODES = 3;          // then the screen falls silent until somebody comes
  var HOLD_MS = 130000;       // nod answers a wait within 120 s
  var STATE_MS = 35000;       // and a state within 25 s
  var ASK_PUSH = 8;           // how often, a second apart, it is asked whether a message has left
  var STANDS_MS = 3000;       // how often a television that is signed in asks whether it still is
  var READ_MS = 700;          // long enough to read as whom one was let in
  var PUSHED = {
    queued: 'A message to your phone is on its way.',
    sent: 'We have sent a message to your phone.',
    failed: 'Your phone could not be reached. Scan the code instead.'
  };
  var now = null;             // the code on the screen
  var shown = 0;
  var ticking = null;

  function el(id) { return document.getElementById(id); }
  function state(name, text) {
    body.setAttribute('data-state', name);
    el('status').textContent = text;
  }

  // call sends JSON and hands over the status (0 when there was no answer) and
  // the parsed body, {} when it is not JSON: a gateway's error page is no word
  // of nod's.
  function call(method, url, headers, data, timeout, done) {
    var x = new XMLHttpRequest();
    x.open(method, url, true);
    x.timeout = timeout;
    if (data) { x.setRequestHeader('Content-Type', 'application/json'); }
    for (var name in headers) { x.setRequestHeader(name, headers[name]); }
    x.onloadend = function () {
      var parsed = {};
      try { parsed = JSON.parse(x.responseText) || {}; } catch (e) { parsed = {}; }
      done(x.status, parsed);
    };
    x.send(data ? JSON.stringify(data) : null);
    return x;
  }

  function pauseAfter(tries) { return Math.min(8000, 500 * Math.pow(2, tries)); }

  function group(code) {
    return code.length === 6 ? code.slice(0, 3) + ' ' + code.slice(3) : code;
  }

  function start() {
    shown++;
    el('again').hidden = true;
    ask(0);
  }

  function ask(tries) {
    call('POST', '/start', {}, null, 15000, function (status, got) {
      if (status !== 200) {
        state('retrying', 'Connection hiccup. Asking for a code again…');
        setTimeout(function () { ask(tries + 1); }, pauseAfter(tries));
        return;
      }
      now = { code: got.code, type: got.type, id: got.request_id, ends: Date.now() + got.seconds * 1000, settled: false };
      draw(got.approval_url);
      told(got.push);
      el('code').textContent = group(got.code);
      el('ask').hidden = false;
      el('left').hidden = false;
      state('waiting', 'Waiting for your phone…');
      tick();
      wait(now, 0);
      watch(now, 0, 0);
    });
  }

  // draw shows the QR code of an address, unless it is there already. Only the
  // handle, its last part, travels to our backend, which makes the picture.
  function draw(url) {
    if (!url || el('qr').getAttribute('data-url') === url) { return; }
    el('qr').src = '/qr.svg?handle=' + encodeURIComponent(url.slice(url.lastIndexOf('/') + 1));
    el('qr').setAttribute('data-url', url);
  }

  // told says how the message to the phone is getting on, in nod's word for it.
  function told(push) {
    el('pushed').textContent = PUSHED[push] || '';
  }

  // wait holds the request that the token comes back on.
  function wait(c, tries) {
    c.waiting = call('POST', nod + '/authenticate/code/wait', {}, {
      client_id: client, username: username, authentication_code: { code: c.code, type: c.type }
    }, HOLD_MS, function (status, got) {
      if (c.settled) { return; }
      if (status === 200 && got.jwt) { return finish(c, got.jwt, 0); }
      switch (got.code) {
        case 'remote_session_timeout': return wait(c, 0);
        case 'failed_to_authenticate': return end(c, 'denied', 'Sign-in was declined. Nothing was shared.');
        case 'account_deactivated': return end(c, 'denied', 'This account is not active. Ask whoever runs it.');
        case 'verification_code_expired':
        case 'verification_code_not_found': return renew(c);
      }
      if (Date.now() >= c.ends) { return renew(c); }
      state('retrying', 'Connection hiccup, still waiting. Your code is still good.');
      setTimeout(function () {
        if (!c.settled) { wait(c, tries + 1); }
      }, pauseAfter(tries));
    });
  }

  // watch learns what happens before the decision. It only ever changes words,
  // and the QR code where that rotates. After a hiccup it asks for whatever is the
  // case (since 0), which is answered at once: the words on the screen say that
  // the connection is back. So it does a few times while a message is on its way,
  // because no version counts how that gets on.
  function watch(c, since, tries) {
    var url = nod + '/api/native/requests/' + c.id + '/state?since=' + since;
    function again(since, tries, pause) {
      setTimeout(function () { if (!c.settled) { watch(c, since, tries); } }, pause);
    }
    c.watching = call('GET', url, { Authorization: 'Code ' + c.code }, null, STATE_MS, function (status, got) {
      if (c.settled) { return; }
      if (status !== 200) { return again(0, tries + 1, pauseAfter(tries)); }
      if (got.state === 'approved') { c.as = got.approved_as; approved(c); }
      if (got.state !== 'opened' && got.state !== 'pending') { return; } // the wait brings the rest
      draw(got.approval_url);
      told(got.state === 'pending' ? got.push : '');
      if (got.opened_elsewhere) { state('opened', 'Opened on a second phone too. If that is not yours, decline.'); }
      else if (got.state === 'opened') { state('opened', 'Opened on a phone. Finish there.'); }
      else { state('waiting', 'Waiting for your phone…'); }
      c.asked = (c.asked || 0) + 1;
      if (got.push === 'queued' && c.asked < ASK_PUSH) { return again(0, 0, 1000); }
      watch(c, got.version, 0);
    });
  }

  function approved(c) {
    state('approved', (c.as ? 'Approved as ' + c.as : 'Approved') + '. One moment…');
  }

  function finish(c, jwt, tries) {
    settle(c);
    approved(c);
    call('POST', '/session', {}, { jwt: jwt }, 15000, function (status, got) {
      if (status === 200) {
        c.as = got.username;
        approved(c);
        setTimeout(function () { location.reload(); }, READ_MS);
        return;
      }
      if (status === 401 || tries > 5) { return end(c, 'denied', 'That sign-in could not be used. Try again.'); }
      setTimeout(function () { finish(c, jwt, tries + 1); }, pauseAfter(tries));
    });
  }

  function settle(c) {
    c.settled = true;
    if (c.watching) { c.watching.abort(); }
    if (c.waiting) { c.waiting.abort(); }
    clearInterval(ticking);
    told('');
    el('left').hidden = true;
    el('ask').hidden = true;
  }

  function end(c, name, text) {
    settle(c);
    shown = 0;
    state(name, text);
    offer();
  }

  function renew(c) {
    settle(c);
    if (shown >= MAX_CODES) {
      shown = 0;
      state('paused', 'Still there? The last code has run out.');
      return offer();
    }
    state('starting', 'This code has run out. Here is a new one.');
    start();
  }

  function offer() {
    el('again').hidden = false;
    el('again').focus();
  }

  function tick() {
    clearInterval(ticking);
    function show() {
      var s = Math.max(0, Math.round((now.ends - Date.now()) / 1000));
      el('clock').textContent = Math.floor(s / 60) + ':' + ('0' + s % 60).slice(-2);
    }
    show();
    ticking = setInterval(show, 1000);
  }

  // stands asks whether nobody has signed this television out. What it cannot
  // ask changes nothing.
  function stands() {
    call('GET', '/session', {}, null, 15000, function (status) {
      if (status === 401) { location.reload(); } else { setTimeout(stands, STANDS_MS); }
    });
  }

  if (el('again')) {
    el('again').onclick = start;
    start();
  } else {
    setTimeout(stands, STANDS_MS);
  }
})();
