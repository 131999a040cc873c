/* The reply queue, retries and returns (services/successes/results/: results.py, decisions.py, returns.py, sweep.py). */

#define READ     0   /* takes the next result */
#define RETRY    1   /* the journal learns first what is tried again */
#define PUT_OFF  2   /* … then a retry queue gets it */
#define PARK     3   /* the parked queue gets what is given up */
#define PARKED_  4   /* … then the journal learns it */
#define LEFT     5   /* of a result that had been delivered before: what may not have reached a retry queue */
#define ACK      6

byte results[ND];    /* 1: in the reply queue, 2: back in it */
byte waits;         /* in a retry queue, or back from it */
byte given_up;      /* in the parked queue */

byte at;
byte about;          /* the deploy */
bit before;          /* its result had been delivered before */
byte again_;        /* what of it is to be tried again */
byte put_off;       /* their next attempts */
byte over_;         /* what is given up */
bit swept;

inline put_result(d) { results[d] = (results[d] == 2 -> 2 : 1); recorded[d] = 1 }

inline undecided(d) {
    again_ = 0; over_ = 0;
    for (x : 0 .. N - 1) {
        superseded_in(x, batch[d]);
        if
        :: !b && (batch[d] & BIT(x)) &&
           ((T.running == d && T.st[x] == DEPLOYING && !(T.withdrawn & BIT(x)))
            || (T.running != d && T.st[x] == FAILED && T.by[x] == d)) ->
            if
            :: FIRST(x) -> again_ = again_ | BIT(x)
            :: else -> over_ = over_ | BIT(x)
            fi
        :: else
        fi
    }
}

/* Those next attempts that the journal has retrying; early on it can't tell. */
inline nexts(d, all) {
    for (x : 0 .. M - 1) {
        if
        :: (again_ & BIT(x)) && ((all) || T.st[NEXT(x, nth[d])] == RETRYING) -> put_off = put_off | BIT(NEXT(x, nth[d]))
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

/* Nothing names that deploy any more. */
inline collect() {
    for (x : 1 .. ND - 1) {
        b = (!batch[x] || T.running == x || B[0].running == x || B[1].running == x || taking[0] == x || taking[1] == x ||
             owed_for[0] == x || owed_for[1] == x || results[x] || about == x || SAVED(x));
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
            assert(!shown[x] || recorded[x]);             /* no result is in the journal alone */
            batch[x] = 0; failed[x] = 0; nth[x] = 0; on_hold[x] = 0; held_with[x] = 0; times[x] = 0; of_settled[x] = 0; recorded[x] = 0; shown[x] = 0
        fi
    }
    b = false
}

inline forget_result() {
    at = READ; about = 0; before = 0; again_ = 0; put_off = 0; over_ = 0; swept = 0;
    collect()
}

/* From the start: it has died, or its connection. */
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
    :: else -> about = d; before = (results[d] == 2); undecided(d); at = RETRY
    fi
}

#define TAKES(d) :: d_step { at == READ && results[d] -> begin(d) }
#define RETURNS(id) \
    :: d_step { (waits & BIT(id)) && !flies[id] -> \
        if \
        :: T.st[id] == NONE || T.st[id] == RETRYING -> flies[id] = 3 \
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
#error more deploys than the reply queue knows
#endif
    :: d_step { at == RETRY -> 
#ifdef PUT_OFF_FIRST
        nexts(about, true);
#else
        if
        :: again_ -> decided(about, again_, 0); nexts(about, T.running == about)
        :: else
        fi;
#endif
        at = PUT_OFF }
    :: d_step { at == PUT_OFF && put_off -> lowest(put_off); waits = waits | BIT(y); put_off = put_off & ~BIT(y) }
    :: d_step { at == PUT_OFF && !put_off -> 
#ifdef PUT_OFF_FIRST
        decided(about, again_, 0);
#endif
        at = PARK }
#ifdef PARKED_FIRST
    :: d_step { at == PARK -> decided(about, 0, over_); at = PARKED_ }
    :: d_step { at == PARKED_ -> given_up = given_up | over_; over_ = 0; at = LEFT }
#else
    :: d_step { at == PARK -> given_up = given_up | over_; at = PARKED_ }
    :: d_step { at == PARKED_ -> decided(about, 0, over_); over_ = 0; at = LEFT }
#endif
    :: d_step { at == LEFT && !before -> at = ACK }
    :: d_step { at == LEFT && before ->
#ifndef NO_LEFT
        again_ = 0;
        for (x : 0 .. M - 1) {
            if
            :: (batch[about] & BIT(x)) && T.st[x] == RETRIED -> again_ = again_ | BIT(x)
            :: else
            fi
        }
        nexts(about, false);
#endif
        before = 0; at = PUT_OFF }
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
