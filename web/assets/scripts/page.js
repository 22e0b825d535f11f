// On every page: times in the phone's own time zone, kept true.

import { tellTimes } from './clock.js';

tellTimes();
setInterval(tellTimes, 1000);
