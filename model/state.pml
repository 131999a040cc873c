/* What a holder is doing, its guard, and what time means to it. */

#define REPAY   0   /* no consumer; the second half of a result: the journal */
#define CONNECT 1   /* no consumer; also a process that has ended, and will be started again */
#define IDLE    2   /* consumes, has no turn that it knows of */
#define LOOK    3   /* the head of a round */
#define WAIT    4   /* keeps the take-over wait of a redelivered message */
#define TELL    5   /* has told a message again that the journal did not know */
#define END     6   /* another's taking has no end */
#define WINDOW  7
#define TAKE    8   /* a guard is there */
#define START   9   /* granted */
#define RUN     10
#define PAY     11  /* the second half of a result: the journal */
#define GIVE    12  /* gives the turn back: first the event */
#define CLOSE   13  /* … then the channel */

/* The guard and the command */
#define NO      0
#define READY   1
#define RUNS    2
#define STOPS   3   /* TERM has been sent, or will be: it still runs */
#define CUT     4   /* stopped; deploys has not heard it */
#define BYITSELF 5  /* ended by itself; deploys has not heard it */

#define RESULT        1
#define INTERRUPTION  2

byte pc[2];
byte parity[2];     /* which slot is this connection's */
bit lost[2];        /* it knows that its consumer is gone */
bit frozen[2];
bit missed[2];      /* stood still for longer than the guard's silence since it last prepared a guard, or connected */
bit stop[2];        /* it was told to end */
bit clock[2];       /* its clock says that the hold has expired */
byte held[2];       /* the message of its turn */
byte again[2];      /* how often it had been returned */
bit kept[2];        /* the take-over wait since the delivery is over */
byte taking[2];     /* the deploy that it was granted */
byte mask[2];      /* what it runs the command for */
byte debt[2]; byte owed_for[2];
byte guard[2];
byte orphans;       /* commands whose owner is gone */
bit broken[2];      /* both its connections are gone: it can publish nothing */
byte late[2];      /* a taking on its way to the journal, nobody awaits it any more */

/* Time. A wait is as long as whoever has lost the turn before it began, and is not yet aware, needs to become aware and
   to have its command dead, or its guard to miss its beats. So its end is possible once that is so. `after` says that
   there was such a former holder when the wait began, `orphaned` that there was such a command. And who had lost its own
   turn by then is aware of it before the wait is over (`void_`); stood it still so long, it has no connection any more. */
typedef Since { bit after; bit orphaned; bit void_ }
Since turn[2];      /* from the delivery */
Since reading[2];   /* from reading a taking */

#define SLOT(i)      (2 * (i) + parity[i])
#define COMMAND(i)   (guard[i] == RUNS || guard[i] == STOPS)
#define COMMANDS     (COMMAND(0) + COMMAND(1) + orphans)
#define AWAY(i)      (pc[i] <= CONNECT)
#define DOOMED(i)    (!AWAY(i) && (lost[i] || !consumes[SLOT(i)]))
#ifdef NO_GUARD
#define DEAD(i)      (AWAY(i) || pc[i] == IDLE || missed[i] || (lost[i] && !COMMAND(i)))
#define OVER(w, i)   (!w.void_ && (!w.after || DEAD(1 - i)))
#else
#define DEAD(i)      (!COMMAND(i) && (AWAY(i) || pc[i] == IDLE || missed[i] || lost[i]))
#define OVER(w, i)   (!w.void_ && (!w.after || DEAD(1 - i)) && (!w.orphaned || !orphans))
#endif
#ifdef NO_STILL_HELD
#define LOSES(i)     false
#else
#define LOSES(i)     DOOMED(i)
#endif
#define FROM_NOW(w, i) w.after = DOOMED(1 - i); w.orphaned = (orphans > 0); w.void_ = LOSES(i)
#define MAY(i)       (!frozen[i])
#define HAS(i)       (MAY(i) && !lost[i])
#define HELD_BACK(i) (B[i].hold && !clock[i])

#if LOSS
#define PUBLISHES(i) (!broken[i])
#else
#define PUBLISHES(i) true
#endif
#ifdef WAIT_FROM_TURN
#define WAITED(i)    OVER(turn[i], i)
#elif defined(WAIT_FROM_TAKING)
#define WAITED(i)    OVER(reading[i], i)
#elif defined(NO_WAIT_FOR_END)
#define WAITED(i)    true
#else
#define WAITED(i)    (OVER(turn[i], i) && OVER(reading[i], i))
#endif
