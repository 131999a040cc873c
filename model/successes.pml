/* The reply queue, retries and returns (services/successes/results/: results.py, decisions.py, returns.py, sweep.py). */

#define READ     0   /* takes the next result */
#define RETRY    1   /* writes to the journal what is retried */
#define QUEUE    2   /* … then publishes the next attempts to a retry queue */
#define PARK     3   /* publishes what is given up to the parked queue */
#define PARKED_  4   /* … then writes it to the journal */
#define RECHECK  5   /* for a redelivered result: looks for retries that may not have reached a retry queue */
#define ACK      6

byte results[ND];    /* 1: in the reply queue; 2: returned to it */
byte waits;          /* messages in a retry queue, or back from it */
byte given_up;       /* messages in the parked queue */

byte at;             /* the step, one of the above */
byte about;          /* the deploy whose result is handled */
bit seen_before;     /* that result is a redelivery */
byte to_retry;       /* its messages that are retried */
byte to_queue;       /* their next attempts */
byte to_park;        /* its messages that are given up */
bit swept;           /* the sweep handles this deploy, which has no result in the queue */

inline put_result(d) { results[d] = (results[d] == 2 -> 2 : 1); recorded[d] = 1 }

inline undecided(d) {
    to_retry = 0; to_park = 0;
    for (x : 0 .. N - 1) {
        superseded_in(x, batch[d]);
        if
        :: !b && (batch[d] & BIT(x)) &&
           ((T.running == d && T.st[x] == DEPLOYING && !(T.withdrawn & BIT(x)))
            || (T.running != d && T.st[x] == FAILED && T.by[x] == d)) ->
            if
            :: FIRST(x) -> to_retry = to_retry | BIT(x)
            :: else -> to_park = to_park | BIT(x)
            fi
        :: else
        fi
    }
}

/* The next attempts that are retrying on the board. Before the result is in the journal, the board does not show them. */
inline nexts(d, all) {
    for (x : 0 .. M - 1) {
        if
        :: (to_retry & BIT(x)) && ((all) || T.st[NEXT(x, nth[d])] == RETRYING) -> to_queue = to_queue | BIT(NEXT(x, nth[d]))
        :: else
        fi
    }
}

inline lowest(set) {
    y = 0;
    do
    :: (set) & BIT(y) -> break
    :: else -> y++
    od
}

#if LOSS
#define SAVED(d) (S.running == (d))
#else
#define SAVED(d) false
#endif

/* Frees the ids of deploys that nothing refers to. */
inline collect() {
    for (x : 1 .. ND - 1) {
        b = (!batch[x] || T.running == x || B[0].running == x || B[1].running == x || taking[0] == x || taking[1] == x ||
             outcome_of[0] == x || outcome_of[1] == x || results[x] || about == x || SAVED(x) || T.stuck == x || lock[0] == x || lock[1] == x);
        for (z : 0 .. N - 1) {
            if
            :: T.by[z] == x && T.st[z] != FAILED -> T.by[z] = 0
            :: T.by[z] == x && T.st[z] == FAILED -> b = true
#if LOSS
            :: S.by[z] == x -> b = true
#endif
            :: else
            fi
        }
        if
        :: b
        :: else ->
            assert(!shown[x] || recorded[x]);             /* no result is only in the journal */
            batch[x] = 0; failed[x] = 0; nth[x] = 0; on_hold[x] = 0; of_settled[x] = 0; recorded[x] = 0; shown[x] = 0;
            held_message_of[x] = 0; held_count_of[x] = 0
        fi
    }
    b = false
}

inline forget_result() {
    at = READ; about = 0; seen_before = 0; to_retry = 0; to_queue = 0; to_park = 0; swept = 0;
    collect()
}

/* It has died, or lost its connection: its result returns to the queue. */
inline successes_dies() {
    if
    :: about && !swept -> results[about] = 2
    :: else
    fi;
    forget_result()
}

inline begin(d) {
    if
    :: !failed[d] -> results[d] = 0; collect()
    :: else -> about = d; seen_before = (results[d] == 2); undecided(d); at = RETRY
    fi
}

#define TAKES(d) :: d_step { at == READ && results[d] -> begin(d) }
#define RETURNS(id) \
    :: d_step { (waits & BIT(id)) && !in_flight[id] -> \
        if \
        :: T.st[id] == NONE || T.st[id] == RETRYING -> in_flight[id] = 3 \
        :: else -> waits = waits & ~BIT(id) \
        fi }

proctype Successes() {
end:
    do
    TAKES(1) TAKES(2) TAKES(3)
#if ND > 4
    TAKES(4)
#endif
#if ND > 5
    TAKES(5)
#endif
#if ND > 6
    TAKES(6)
#endif
#if ND > 7
    TAKES(7)
#endif
#if ND > 8
    TAKES(8)
#endif
#if ND > 9
#error the reply queue is modelled for at most nine deploys
#endif
    :: d_step { at == RETRY -> 
#ifdef QUEUE_FIRST
        nexts(about, true);
#else
        if
        :: to_retry -> decided(about, to_retry, 0); nexts(about, T.running == about)
        :: else
        fi;
#endif
        at = QUEUE }
    :: d_step { at == QUEUE && to_queue -> lowest(to_queue); waits = waits | BIT(y); to_queue = to_queue & ~BIT(y) }
    :: d_step { at == QUEUE && !to_queue -> 
#ifdef QUEUE_FIRST
        decided(about, to_retry, 0);
#endif
        at = PARK }
#ifdef PARKED_FIRST
    :: d_step { at == PARK -> decided(about, 0, to_park); at = PARKED_ }
    :: d_step { at == PARKED_ -> given_up = given_up | to_park; to_park = 0; at = RECHECK }
#else
    :: d_step { at == PARK -> given_up = given_up | to_park; at = PARKED_ }
    :: d_step { at == PARKED_ -> decided(about, 0, to_park); to_park = 0; at = RECHECK }
#endif
    :: d_step { at == RECHECK && !seen_before -> at = ACK }
    :: d_step { at == RECHECK && seen_before ->
#ifndef NO_RECHECK
        to_retry = 0;
        for (x : 0 .. M - 1) {
            if
            :: (batch[about] & BIT(x)) && T.st[x] == RETRIED -> to_retry = to_retry | BIT(x)
            :: else
            fi
        }
        nexts(about, false);
#endif
        seen_before = 0; at = QUEUE }
    :: d_step { at == ACK ->
        if
        :: !swept -> results[about] = 0
        :: else
        fi;
        forget_result() }
#if FAILS
    RETURNS(2) RETURNS(3)
#if FAILS > 1
    RETURNS(4) RETURNS(5)
#endif
#endif
    od
}
