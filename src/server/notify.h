/* The service manager's signals (sd_notify(3)): a datagram to $NOTIFY_SOCKET. Nothing happens without it. */
#ifndef LATHE_SERVER_NOTIFY_H
#define LATHE_SERVER_NOTIFY_H

/* "READY=1", "STOPPING=1", "WATCHDOG=1" ...; several with newlines between. */
void notify_send(const char *state);
/* Seconds between two WATCHDOG=1, half of what is allowed; 0: nobody waits for them. */
double notify_watchdog_s(void);
#endif
