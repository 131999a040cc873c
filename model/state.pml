/* The state of a holder and its guard, and how the model treats time. */

#define FINISH_AWAY 0 /* no consumer; writes the second half of a result, to the journal */
#define CONNECT 1   /* no consumer; also a process that has ended and will be started again */
#define IDLE    2   /* consumes, and has received no message */
#define LOOK    3   /* at the start of a round */
#define WAIT    4   /* keeps the take-over wait of a redelivered message */
#define REPUBLISH 5 /* has re-published a message that the journal did not contain */
#define END     6   /* waits for the end of another holder's deploy */
#define WINDOW  7
#define TAKE    8   /* the guard has started */
#define START   9   /* the taking is granted */
#define RUN     10
#define FINISH  11  /* writes the second half of a result, to the journal */
#define GIVE    12  /* gives the turn back: writes the event */
#define CLOSE   13  /* … then closes the channel */

/* The guard and its command */
#define NO      0
#define READY   1
#define RUNS    2
#define STOPS   3   /* is being stopped: the command still runs */
#define KILLED  4   /* the command was killed; deploys does not know it yet */
#define REFUSES 6   /* cannot be killed: the command still runs, and the guard has said so */
#define EXITED  5   /* the command exited; deploys does not know it yet */

#define RESULT        1
#define INTERRUPTION  2
#define IS_STUCK      3

byte pc[2];         /* the step, one of the above */
byte parity[2];     /* which of its two slots belongs to the current connection */
bit lost[2];        /* it knows that its consumer is lost */
bit frozen[2];
bit missed[2];      /* it was frozen for longer than the guard's silence since it started a guard or connected */
bit stop[2];        /* it was told to stop */
bit clock[2];       /* its clock says that the hold has expired */
byte held[2];       /* the message that it holds */
byte held_count[2]; /* … and its delivery count */
bit kept[2];        /* it has kept the take-over wait since the delivery */
byte taking[2];     /* the deploy that it was granted */
byte mask[2];       /* the messages that it takes */
byte unwritten[2];  /* the kind of its unwritten outcome, 0 if none */
byte outcome_of[2]; /* … and its deploy */
byte guard[2];
byte lock[2];       /* the deploy that the lock of this machine names, because its command could not be killed */
bit left[2];        /* … and that command still runs */
byte orphans;       /* commands whose deploys has died */
bit broken[2];      /* both its connections are lost: it cannot publish */
byte late[2];       /* a taking on its way to the journal that nobody waits for any more */

/* Time is not counted. A take-over wait is long enough for a holder that had lost the turn when the wait began: in that time
   it notices the loss and its command is killed, or its guard misses its heartbeats. So the wait can end once that is so.
   after: there was such a holder when the wait began.
   orphaned: a command was running whose deploys had died by then, or died during the wait.
   own_lost: the waiting holder itself had lost the turn when the wait began. It notices that before the wait is over or, if
   it is frozen for that long, loses its connection. So such a wait never ends. */
typedef Wait { bit after; bit orphaned; bit own_lost }
Wait turn[2];       /* since the delivery */
Wait reading[2];    /* since reading a taking */

#define SLOT(i)      (2 * (i) + parity[i])
#define COMMAND(i)   (guard[i] == RUNS || guard[i] == STOPS || guard[i] == REFUSES)
#define COMMANDS     (COMMAND(0) + COMMAND(1) + left[0] + left[1] + orphans)
#define NO_CONSUMER(i) (pc[i] <= CONNECT)
#define TURN_LOST(i)    (!NO_CONSUMER(i) && (lost[i] || !consumes[SLOT(i)]))
#ifdef NO_GUARD
#define DEAD(i)      (NO_CONSUMER(i) || pc[i] == IDLE || missed[i] || (lost[i] && !COMMAND(i)))
#define OVER(w, i)   (!w.own_lost && (!w.after || DEAD(1 - i)))
#else
#define DEAD(i)      (!COMMAND(i) && (NO_CONSUMER(i) || pc[i] == IDLE || missed[i] || lost[i]))
#define OVER(w, i)   (!w.own_lost && (!w.after || DEAD(1 - i)) && (!w.orphaned || !orphans))
#endif
#ifdef NO_STILL_HELD
#define OWN_LOST(i)     false
#else
#define OWN_LOST(i)     TURN_LOST(i)
#endif
#define FROM_NOW(w, i) w.after = TURN_LOST(1 - i); w.orphaned = (orphans > 0); w.own_lost = OWN_LOST(i)
#define MAY(i)       (!frozen[i])
#define HAS(i)       (MAY(i) && !lost[i])
#define ON_HOLD(i) (B[i].hold && !clock[i])

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
