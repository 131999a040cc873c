/* The board: what the journal's entries come to, folded one by one (shared/usher/core/board/).
   T is the board at the journal's end. A reader's own board is T as of when it last read on. */

#define NONE       0
#define WAITING    1
#define DEPLOYING  2
#define FAILED     3
#define RETRYING   4
#define RETRIED    5
#define PARKED     6
#define SUPERSEDED 7
#define WITHDRAWN  8
#define DEPLOYED   9

#define SETTLED(s) ((s) == FAILED || (s) >= RETRIED)
#define LAST(s)    ((s) == RETRIED || (s) >= SUPERSEDED)

/* Messages 0 .. M-1 are the first attempts. The second attempt of m after the f-th failure is a message of its own. */
#define NEXT(m, f)  (M + (f) * M + (m))
#define MOVE(id)    ((id) < M -> (id) : ((id) - M) % M)
#define FIRST(id)   ((id) < M)
#ifdef SAME_ISSUE
#define SAME(a, b)  true
#else
#define SAME(a, b)  (MOVE(a) == MOVE(b))
#endif
#define OLDER(a, b) (SAME(a, b) && (MOVE(a) < MOVE(b)))
/* of two messages of an issue in one batch the newer stands */
#define STANDS_FOR(b, a) (SAME(a, b) && (MOVE(a) < MOVE(b) || (MOVE(a) == MOVE(b) && (a) < (b))))
#define BIT(id)     (1 << (id))

typedef Board {
    byte st[N];      /* where each message is */
    byte by[N];      /* the deploy that failed it */
    byte running;     /* the granted taking without an end, 0 if none */
    byte over;       /* the message that the last turn which ended in order was held with, + 1 */
    byte times;      /* … and how often it had been returned */
    bit owed;        /* of the take-over wait, by who gave the turn back */
    bit hold;
    byte withdrawn; /* withdrawn while being deployed */
    byte retried;   /* decisions from before the result: to be tried again */
    byte parked     /* … and parked */
}

Board T;             /* the journal */
Board B[2];          /* what each holder has read of it */
#if LOSS
Board S;             /* the part of the journal that survives a loss */
#endif

/* Granted takings, by their deploy's id. An id is free again when nothing names it. */
byte batch[ND];      /* what each covers */
bit failed[ND];      /* how its command ended */
byte nth[ND];        /* and which failure that was */
bit on_hold[ND];     /* taken while a hold stood */
bit of_settled[ND];  /* … with something that was settled */
bit recorded[ND];    /* its result has come by the reply queue */
bit shown[ND];       /* … is in the journal */
byte held_with[ND];  /* the message that its turn was held with, + 1 */
byte times[ND];      /* … and how often it had been returned */
byte nf;

hidden byte x; hidden byte y; hidden byte z;
hidden byte b; hidden byte early; hidden byte granted;
hidden byte settled_before;

inline copy(to, from) {
    for (x : 0 .. N - 1) { to.st[x] = from.st[x]; to.by[x] = from.by[x] }
    to.running = from.running; to.over = from.over; to.times = from.times; to.owed = from.owed; to.hold = from.hold;
    to.withdrawn = from.withdrawn; to.retried = from.retried; to.parked = from.parked
}

/* what a holder goes by */
inline copy_read(to, from) {
    for (x : 0 .. N - 1) { to.st[x] = from.st[x] }
    to.running = from.running; to.over = from.over; to.times = from.times; to.owed = from.owed; to.hold = from.hold
}

inline clear(from) {
    for (x : 0 .. N - 1) { from.st[x] = NONE; from.by[x] = 0 }
    from.running = 0; from.over = 0; from.times = 0; from.owed = 0; from.hold = 0;
    from.withdrawn = 0; from.retried = 0; from.parked = 0
}

/* states that a message never leaves */
inline become(id, s) {
    assert(!LAST(T.st[id]));
    T.st[id] = s
}

/* Whether a batch has a newer message of id's issue, in b. */
inline superseded_in(id, covered) {
    b = false;
    for (z : 0 .. N - 1) {
        if
        :: (covered & BIT(z)) && STANDS_FOR(z, id) -> b = true
        :: else
        fi
    }
}

inline told(id) {
    if
    :: T.st[id] == NONE || T.st[id] == RETRYING -> T.st[id] = WAITING
    :: else
    fi
}

/* A taking: granted if nothing runs, no hold stands (by the taker's clock, which is in the event), and something of it
   still waits; its batch is that. Gives the deploy in y, 0 if it is not granted. */
inline taken(mask, expired) {
    y = 0;
    z = 0;
    for (x : 0 .. N - 1) {
        if
        :: (mask & BIT(x)) && T.st[x] == WAITING -> z = z | BIT(x)
#ifdef NO_STILL_WAITING
        :: (mask & BIT(x)) && T.st[x] != WAITING -> z = z | BIT(x)
#endif
        :: else
        fi
    }
    if
#ifdef NO_GRANT
    :: z
#elif defined(NO_HOLD_IN_GRANT)
    :: z && !T.running
#else
    :: z && !T.running && (!T.hold || expired)
#endif
       -> y = 1;
          do
          :: y < ND && batch[y] -> y++
          :: else -> break
          od;
          assert(y < ND);
          batch[y] = z;
          T.running = y;
          settled_before = false;
          for (x : 0 .. N - 1) {
              if
              :: (z & BIT(x)) && T.st[x] == WAITING -> T.st[x] = DEPLOYING
              :: (z & BIT(x)) && T.st[x] != WAITING -> settled_before = true
              :: else
              fi
          }
    :: else
    fi
}

inline decided(d, again, given_up) {
    if
    :: T.running == d && d -> T.retried = T.retried | (again); T.parked = T.parked | (given_up)
    :: else ->
        for (x : 0 .. N - 1) {
            if
#ifdef NEXT_TOLD_LEAVES_FAILED
            :: ((again) & BIT(x)) && T.st[x] == FAILED && T.st[NEXT(x, nth[d])] != NONE
#endif
            :: ((again) & BIT(x)) && T.st[x] == FAILED ->
                become(x, RETRIED);
                if
                :: T.st[NEXT(x, nth[d])] == NONE -> T.st[NEXT(x, nth[d])] = RETRYING
                :: else  /* told already: its retry queue was faster than the journal */
                fi
            :: ((again) & BIT(x)) && T.st[x] != FAILED && T.st[NEXT(x, nth[d])] == NONE ->
                if
                :: T.st[x] == WITHDRAWN -> T.st[NEXT(x, nth[d])] = WITHDRAWN
                :: T.st[x] == DEPLOYED || T.st[x] == SUPERSEDED || T.st[x] == RETRIED ->
                    T.st[NEXT(x, nth[d])] = SUPERSEDED
                :: else
                fi
            :: ((given_up) & BIT(x)) && T.st[x] == FAILED -> T.st[x] = PARKED
            :: else
            fi
        }
    fi
}

/* What passed settles the older attempts of its issue. */
inline clean(id) {
    for (z : 0 .. N - 1) {
        if
        :: OLDER(z, id) && (T.st[z] == FAILED || T.st[z] == PARKED || T.st[z] == RETRYING
                            || (T.st[z] == WAITING && !FIRST(z))) -> T.st[z] = SUPERSEDED
        :: else
        fi
    }
}

/* A turn has ended in order. */
inline ends_with(covered, id, returns) {
#ifdef ANY_LATER_RETURN
    T.over = covered
#else
    T.over = id; T.times = returns
#endif
}

/* A result. Only the first end of the granted taking counts. */
inline result(d) {
    if
    :: T.running == d && d ->
        for (x : 0 .. N - 1) {
            if
            :: T.st[x] == DEPLOYING ->
                superseded_in(x, batch[d]);
                if
                :: b -> become(x, SUPERSEDED)
                :: !b && !failed[d] -> become(x, DEPLOYED)
                :: !b && failed[d] && (T.withdrawn & BIT(x)) -> become(x, WITHDRAWN)
                :: else -> T.st[x] = FAILED; T.by[x] = d
                fi
            :: else
            fi
        }
        for (x : 0 .. N - 1) {
            superseded_in(x, batch[d]);
            if
            :: !b && (batch[d] & BIT(x)) && !failed[d] -> clean(x)
            :: else
            fi
        }
        T.running = 0; ends_with(batch[d], held_with[d], times[d]); T.owed = 0; T.withdrawn = 0;
        decided(d, T.retried, T.parked);
        T.retried = 0; T.parked = 0
    :: else
    fi
}

/* No result: what was taken waits again, and early decisions count for nothing. */
inline interrupted(d) {
    if
    :: T.running == d && d ->
        for (x : 0 .. N - 1) {
            if
            :: T.st[x] == DEPLOYING && (T.withdrawn & BIT(x)) -> become(x, WITHDRAWN)
            :: T.st[x] == DEPLOYING && !(T.withdrawn & BIT(x)) -> T.st[x] = WAITING
            :: else
            fi
        }
        for (x : 0 .. N - 1) {
            if
            :: (T.retried & BIT(x)) && T.st[NEXT(x, nth[d])] == NONE -> T.st[NEXT(x, nth[d])] = SUPERSEDED
            :: else
            fi
        }
        T.running = 0;
#if defined(INTERRUPTED_ENDS_TURN) || defined(ANY_LATER_RETURN)
        ends_with(batch[d], held_with[d], times[d]);
#else
        T.over = 0; T.times = 0;
#endif
        T.owed = 0; T.withdrawn = 0; T.retried = 0; T.parked = 0
    :: else
    fi
}

inline given_back(id, returns, what) {
    ends_with(BIT(id), (id) + 1, returns); T.owed = what
}

inline withdraw(id) {
    if
    :: T.st[id] == DEPLOYING -> T.withdrawn = T.withdrawn | BIT(id)
    :: T.st[id] == WAITING || T.st[id] == RETRYING || T.st[id] == FAILED || T.st[id] == PARKED ->
        T.st[id] = WITHDRAWN
    :: else
    fi
}
