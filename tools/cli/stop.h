/* stop.h - the wish of a person or a system that a long run ends, or saves what it has. */
#ifndef RN_CLI_STOP_H
#define RN_CLI_STOP_H

/* From now on SIGINT and SIGTERM are noted; a second one, a second later or more, ends the program at once. */
void tool_stop_catch(void);
/* The number of the signal that was noted, or 0.  An rn_stop_fn; arg is not looked at. */
int tool_stop_asked(void *arg);
/* And SIGUSR1 is noted; whether it came since this was asked last. */
void tool_save_catch(void);
int tool_save_asked(void *arg);

#endif /* RN_CLI_STOP_H */
