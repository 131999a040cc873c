/* The board: the state that results from folding the journal's entries (shared/usher/core/board/).
   T is the board at the end of the journal. A reader's board is T as it was when that reader last read. */

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

/* Messages 0 .. M-1 are first attempts. The second attempt of m, after failure number f, is a separate message. */
#define NEXT(m, f)  (M + (f) * M + (m))
#define MOVE(id)    ((id) < M -> (id) : ((id) - M) % M)
#define FIRST(id)   ((id) < M)
#ifdef SAME_ISSUE
#define SAME(a, b)  true
#else
#define SAME(a, b)  (MOVE(a) == MOVE(b))
#endif
#define OLDER(a, b) (SAME(a, b) && (MOVE(a) < MOVE(b)))
/* Of two messages of an issue in one batch, the newer one stands. */
#define STANDS_FOR(b, a) (SAME(a, b) && (MOVE(a) < MOVE(b) || (MOVE(a) == MOVE(b) && (a) < (b))))
#define BIT(id)     (1 << (id))

typedef Board {
    byte st[N];      /* the state of each message */
    byte by[N];      /* the deploy in which it failed */
    byte running;    /* the granted taking that is unfinished, 0 if none */
    byte stuck;      /* the deploy whose command cannot be killed, 0 if none */
    byte over;       /* the held message of the last turn that ended cleanly, + 1 */
    byte over_count; /* … and its delivery count in that turn */
    bit wait_left;   /* whoever gave the turn back left a rest of the take-over wait */
    bit hold;
    byte withdrawn;  /* messages withdrawn while being deployed */
    byte retried;    /* decisions that came before the result: messages to retry */
    byte parked      /* … and messages to park */
}

Board T;             /* at the end of the journal */
Board B[2];          /* as each holder has read it */
#if LOSS
Board S;             /* the part of the journal that survives a loss */
#endif

/* Granted takings, by deploy id. An id can be reused once nothing refers to it. */
byte batch[ND];      /* the messages that it covers */
bit failed[ND];      /* its command failed */
byte nth[ND];        /* … and the number of that failure */
bit on_hold[ND];     /* it was taken during a hold */
bit of_settled[ND];  /* … with a settled message */
bit recorded[ND];    /* its result has reached the reply queue */
bit shown[ND];       /* … the journal */
byte held_message_of[ND];  /* the held message of its turn, + 1 */
byte held_count_of[ND];      /* … and the delivery count of that message */
byte nf;             /* the number of failures so far */

hidden byte x; hidden byte y; hidden byte z;
hidden byte b; hidden byte early; hidden byte granted;
hidden byte settled_before;

inline copy(to, from) {
    for (x : 0 .. N - 1) { to.st[x] = from.st[x]; to.by[x] = from.by[x] }
    to.running = from.running; to.over = from.over; to.over_count = from.over_count; to.wait_left = from.wait_left;
    to.hold = from.hold; to.withdrawn = from.withdrawn; to.retried = from.retried; to.parked = from.parked;
    to.stuck = from.stuck
}

/* the part of the board that a holder uses */
inline copy_read(to, from) {
    for (x : 0 .. N - 1) { to.st[x] = from.st[x] }
    to.running = from.running; to.over = from.over; to.over_count = from.over_count; to.wait_left = from.wait_left;
    to.hold = from.hold; to.stuck = from.stuck
}

inline clear(from) {
    for (x : 0 .. N - 1) { from.st[x] = NONE; from.by[x] = 0 }
    from.running = 0; from.over = 0; from.over_count = 0; from.wait_left = 0; from.hold = 0;
    from.withdrawn = 0; from.retried = 0; from.parked = 0; from.stuck = 0
}

/* For terminal states, which a message never leaves. */
inline become(id, s) {
    assert(!LAST(T.st[id]));
    T.st[id] = s
}

/* Sets b: whether the batch has a newer message of id's issue. */
inline superseded_in(id, covered) {
    b = false;
    for (z : 0 .. N - 1) {
        if
        :: (covered & BIT(z)) && STANDS_FOR(z, id) -> b = true
        :: else
        fi
    }
}

inline published(id) {
    if
    :: T.st[id] == NONE || T.st[id] == RETRYING -> T.st[id] = WAITING
    :: else
    fi
}

/* A taking. It is granted if no deploy is unfinished or stuck, no hold stands (by the taker's clock, which is in the event), and at
   least one of its messages waits; its batch is those messages. Sets y to the deploy, or to 0 if it is not granted. */
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
    :: z && !T.running && !T.stuck && (!T.hold || expired)
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

/* The decision about a failed deploy: which messages to retry, and which to park. */
inline decided(d, retries, parks) {
    if
    :: T.running == d && d -> T.retried = T.retried | (retries); T.parked = T.parked | (parks)
    :: else ->
        for (x : 0 .. N - 1) {
            if
#ifdef EARLY_NEXT_LEAVES_FAILED
            :: ((retries) & BIT(x)) && T.st[x] == FAILED && T.st[NEXT(x, nth[d])] != NONE
#endif
            :: ((retries) & BIT(x)) && T.st[x] == FAILED ->
                become(x, RETRIED);
                if
                :: T.st[NEXT(x, nth[d])] == NONE -> T.st[NEXT(x, nth[d])] = RETRYING
                :: else  /* already published: the retry queue was faster than the journal */
                fi
            :: ((retries) & BIT(x)) && T.st[x] != FAILED && T.st[NEXT(x, nth[d])] == NONE ->
                if
                :: T.st[x] == WITHDRAWN -> T.st[NEXT(x, nth[d])] = WITHDRAWN
                :: T.st[x] == DEPLOYED || T.st[x] == SUPERSEDED || T.st[x] == RETRIED ->
                    T.st[NEXT(x, nth[d])] = SUPERSEDED
                :: else
                fi
            :: ((parks) & BIT(x)) && T.st[x] == FAILED -> T.st[x] = PARKED
            :: else
            fi
        }
    fi
}

/* A message that is deployed settles the older attempts of its issue. */
inline clean(id) {
    for (z : 0 .. N - 1) {
        if
        :: OLDER(z, id) && (T.st[z] == FAILED || T.st[z] == PARKED || T.st[z] == RETRYING
                            || (T.st[z] == WAITING && !FIRST(z))) -> T.st[z] = SUPERSEDED
        :: else
        fi
    }
}

/* A turn has ended cleanly. */
inline turn_ends(covered, id, returns) {
#ifdef ANY_LATER_RETURN
    T.over = covered
#else
    T.over = id; T.over_count = returns
#endif
}

/* A result. Only the first end of a granted taking counts. */
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
        T.running = 0; turn_ends(batch[d], held_message_of[d], held_count_of[d]); T.wait_left = 0; T.withdrawn = 0;
        decided(d, T.retried, T.parked);
        T.retried = 0; T.parked = 0
    :: else
    fi
}

/* The command of a deploy cannot be killed. */
inline is_stuck(d) {
    assert(!T.stuck);
    T.stuck = d
}

/* The command of a stuck deploy has ended. */
inline is_gone(d) {
    T.stuck = 0; interrupted(d)
}

/* An interruption does not end a stuck deploy. */
#ifdef WAIT_ENDS_STUCK
#define MAY_END(d) (d)
#else
#define MAY_END(d) ((d) && T.stuck != (d))
#endif

/* An interruption: the taken messages wait again, and decisions that came early are void. */
inline interrupted(d) {
    if
    :: T.running == d && MAY_END(d) ->
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
#ifdef WAIT_ENDS_STUCK
        T.stuck = 0;
#endif
#if defined(INTERRUPTED_ENDS_TURN) || defined(ANY_LATER_RETURN)
        turn_ends(batch[d], held_message_of[d], held_count_of[d]);
#else
        T.over = 0; T.over_count = 0;
#endif
        T.wait_left = 0; T.withdrawn = 0; T.retried = 0; T.parked = 0
    :: else
    fi
}

inline given_back(id, returns, what) {
    turn_ends(BIT(id), (id) + 1, returns); T.wait_left = what
}

inline withdraw(id) {
    if
    :: T.st[id] == DEPLOYING -> T.withdrawn = T.withdrawn | BIT(id)
    :: T.st[id] == WAITING || T.st[id] == RETRYING || T.st[id] == FAILED || T.st[id] == PARKED ->
        T.st[id] = WITHDRAWN
    :: else
    fi
}
