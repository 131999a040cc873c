/* A model of the turn protocol, for exhaustive checking: two replicas of deploys, one server. README.md lists the claims. */

#ifndef M
#define M 2          /* first messages, that is, moves */
#endif
#ifndef FAULTS
#define FAULTS 2     /* how many faults in total; the next parameters say of which kinds */
#endif
#ifndef CRASH
#define CRASH 0      /* deploys dies */
#endif
#ifndef FREEZE
#define FREEZE 0     /* deploys is frozen for a while */
#endif
#ifndef CUTS
#define CUTS 0       /* a consumer is lost, and one side notices first */
#endif
#ifndef STOP
#define STOP 0       /* deploys is stopped cleanly, and started again */
#endif
#ifndef STUCK
#define STUCK 0      /* a command that should be killed cannot be */
#endif
#ifndef DIES
#define DIES 0       /* successes dies */
#endif
#ifndef LOSS
#define LOSS 0       /* the broker restarts, and the journal has lost its tail */
#endif
#ifndef UNSURE
#define UNSURE 0     /* a taking is not confirmed, but reaches the journal */
#endif
#ifndef MISS
#define MISS 0       /* a message reaches only the journal, or only the queue */
#endif
#ifndef FAILS
#define FAILS 0      /* how many commands fail; this does not count as a fault */
#endif
#ifndef WITHDRAW
#define WITHDRAW 0
#endif
#ifndef HOLD
#define HOLD 0
#endif
#ifndef ND
#define ND 7         /* how many deploys are remembered at a time, plus 1; an assertion fails if that is not enough */
#endif

#define N (M * (1 + FAILS))
#if FAILS > 2 || M > 2
#error the model has at most two messages and two failures
#endif

byte faults = FAULTS;
byte fails = FAILS;
byte withdrawals = WITHDRAW; byte holds = HOLD;
bit hold_over;       /* the hold has expired or was released */
byte kept_tail;      /* 1: S holds the part of the journal that will survive a loss; 2: the tail has been lost */
byte sent = 1;       /* messages that the door has published */
byte settled_before_loss;   /* messages that were settled when the journal lost its tail */

#include "board.pml"
#include "state.pml"
#include "broker.pml"
#include "successes.pml"
#include "holder.pml"
#include "faults.pml"

bit done; hidden byte sweeps;

inline find(state) {
    y = 0;
    do
    :: y < N && T.st[y] != state -> y++
    :: else -> break
    od
}

inline sweep() {
    sweeps = 1;
    find(WAITING);
    if
    :: y < N && !T.running -> in_flight[y] = 3
    :: else ->
        find(RETRYING);
        if
        :: y < N -> in_flight[y] = 3
        :: else ->
            find(FAILED);
            if
            :: y < N -> about = T.by[y]; undecided(about); swept = 1; at = RETRY
            :: else ->
#ifdef SWEEP_LEAVES_RUNNING
                sweeps = 0
#else
                find(DEPLOYING);
                if
                :: y < N -> in_flight[y] = 3
                :: else -> sweeps = 0
                fi
#endif
            fi
        fi
    fi
}

/* When no other step is possible, the sweep re-publishes open messages. If there are none, everything must be settled. */
proctype AtTheEnd() {
end:
    do
    :: timeout -> d_step {
#ifdef NO_SWEEP
        sweeps = 0;
#else
        sweep();
#endif
        if
        :: sweeps
        :: else ->
            for (x : 0 .. N - 1) {
                assert(T.st[x] != WAITING && T.st[x] != DEPLOYING && T.st[x] != FAILED && T.st[x] != RETRYING);
                assert(T.st[x] != PARKED || (given_up & BIT(x)));
                assert(x >= M || T.st[x] != NONE || (settled_before_loss & BIT(x)));
                assert(!(waits & BIT(x)))
            }
            for (x : 1 .. ND - 1) { assert(!results[x]) }
            assert(!T.running && !T.stuck && !length && !unwritten[0] && !unwritten[1]);
            done = 1
        fi
      }
      if
      :: done -> break
      :: else
      fi
    od
}

/* The first message waits, and both replicas consume. */
init {
    atomic { T.st[0] = WAITING; enqueue(0); consumes[0] = 1; consumes[2] = 1; next_active();
             copy_read(B[0], T); copy_read(B[1], T); pc[0] = IDLE; pc[1] = IDLE;
             run Holder(0); run Holder(1); run Broker(); run Successes(); run Faults(); run AtTheEnd() }
}
