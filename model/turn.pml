/* The turn protocol, to be checked exhaustively: two replicas of deploys, one server. README.md says what it claims. */

#ifndef M
#define M 2          /* messages told */
#endif
#ifndef FAULTS
#define FAULTS 2     /* faults, all together; below: of which kinds */
#endif
#ifndef CRASH
#define CRASH 0      /* deploys dies */
#endif
#ifndef FREEZE
#define FREEZE 0     /* deploys stands still for a while */
#endif
#ifndef CUTS
#define CUTS 0       /* a consumer is lost, and one side sees it first */
#endif
#ifndef STOP
#define STOP 0       /* deploys is stopped in order, and started again */
#endif
#ifndef DIES
#define DIES 0       /* successes dies */
#endif
#ifndef LOSS
#define LOSS 0       /* the broker restarts, and its journal has lost its tail */
#endif
#ifndef UNSURE
#define UNSURE 0     /* a taking is not confirmed, and lands all the same */
#endif
#ifndef MISS
#define MISS 0       /* a message lands in the journal alone, or in the queue alone */
#endif
#ifndef FAILS
#define FAILS 0      /* commands fail (no fault) */
#endif
#ifndef WITHDRAW
#define WITHDRAW 0
#endif
#ifndef HOLD
#define HOLD 0
#endif
#ifndef ND
#define ND 7         /* deploys that are remembered at a time, and 1; an assertion says when they are not enough */
#endif

#define N (M * (1 + FAILS))
#if FAILS > 2 || M > 2
#error the model has two messages, and two failures at the most
#endif

byte faults = FAULTS;
byte fails = FAILS;
byte withdrawals = WITHDRAW; byte holds = HOLD;
bit hold_over;       /* by the clock, or by an order */
byte kept_tail;
byte sent = 1;           /* messages told at the door */
byte gone_before;   /* what was settled when the journal lost it */

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
    :: y < N && !T.running -> flies[y] = 3
    :: else ->
        find(RETRYING);
        if
        :: y < N -> flies[y] = 3
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
                :: y < N -> flies[y] = 3
                :: else -> sweeps = 0
                fi
#endif
            fi
        fi
    fi
}

/* Nothing can happen any more: what no queue brings is swept. If there is nothing to sweep, everything is settled. */
proctype Judge() {
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
                assert(x >= M || T.st[x] != NONE || (gone_before & BIT(x)));
                assert(!(waits & BIT(x)))
            }
            for (x : 1 .. ND - 1) { assert(!results[x]) }
            assert(!T.running && !length && !debt[0] && !debt[1]);
            done = 1
        fi
      }
      if
      :: done -> break
      :: else
      fi
    od
}



/* The first message waits, and both consume. */
init {
    atomic { T.st[0] = WAITING; enqueue(0); consumes[0] = 1; consumes[2] = 1; next_active();
             copy_read(B[0], T); copy_read(B[1], T); pc[0] = IDLE; pc[1] = IDLE;
             run Holder(0); run Holder(1); run Broker(); run Successes(); run Faults(); run Judge() }
}
