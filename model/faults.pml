/* Faults, at most FAULTS of them; and what happens without a fault: messages, a withdrawal, a hold. */

/* The broker restarts, and its journal is what it was earlier. */
inline lose_tail() {
    for (x : 0 .. N - 1) {
        if
        :: T.st[x] == FAILED || T.st[x] >= RETRIED -> settled_before_loss = settled_before_loss | BIT(x)
        :: else
        fi
    }
    copy(T, S); clear(S); kept_tail = 2;
    y = 0;
    do
    :: y < 4 -> drop(y); y++
    :: else -> break
    od;
    y = 0;
    do
    :: y < 2 ->
        if
        :: pc[y] > CONNECT -> broken[y] = 1
        :: else
        fi;
        y++
    :: else -> break
    od;
    successes_dies()
}

proctype Faults() {
end:
    do
    /* the door publishes a message */
    :: d_step { sent < M -> in_flight[sent] = 3; sent++ }
    :: d_step { orphans -> orphans-- }
#if CRASH
    :: d_step { faults && (pc[0] > CONNECT || unwritten[0]) -> die(0); faults-- }
    :: d_step { faults && (pc[1] > CONNECT || unwritten[1]) -> die(1); faults-- }
#endif
#if CUTS
    /* the broker notices first that a consumer is lost … */
    :: d_step { faults && pc[0] > IDLE && !lost[0] && consumes[SLOT(0)] -> drop(SLOT(0)); faults-- }
    :: d_step { faults && pc[1] > IDLE && !lost[1] && consumes[SLOT(1)] -> drop(SLOT(1)); faults-- }
    /* … or the client */
    :: d_step { faults && pc[0] > IDLE && !lost[0] -> lost[0] = 1; faults-- }
    :: d_step { faults && pc[1] > IDLE && !lost[1] -> lost[1] = 1; faults-- }
#endif
#if FREEZE
    :: d_step { faults && pc[0] > IDLE && !frozen[0] -> frozen[0] = 1; faults-- }
    :: d_step { faults && pc[1] > IDLE && !frozen[1] -> frozen[1] = 1; faults-- }
    :: d_step { frozen[0] -> frozen[0] = 0 }
    :: d_step { frozen[1] -> frozen[1] = 0 }
    :: d_step { frozen[0] && !missed[0] -> miss_heartbeats(0) }
    :: d_step { frozen[1] && !missed[1] -> miss_heartbeats(1) }
#endif
#if STOP
    :: d_step { faults && pc[0] > CONNECT && !stop[0] -> stop[0] = 1; faults-- }
    :: d_step { faults && pc[1] > CONNECT && !stop[1] -> stop[1] = 1; faults-- }
#endif
#if STUCK
    /* a command that runs too long, or is being stopped, cannot be killed */
    :: d_step { faults && guard[0] == RUNS && !lost[0] -> guard[0] = REFUSES; faults-- }
    :: d_step { faults && guard[1] == RUNS && !lost[1] -> guard[1] = REFUSES; faults-- }
    :: d_step { faults && guard[0] == STOPS && !lost[0] -> guard[0] = REFUSES; faults-- }
    :: d_step { faults && guard[1] == STOPS && !lost[1] -> guard[1] = REFUSES; faults-- }
    /* it ends by itself, or somebody else kills it */
    :: d_step { left[0] -> left[0] = 0 }
    :: d_step { left[1] -> left[1] = 0 }
#endif
#if DIES
    :: d_step { faults && at > READ -> successes_dies(); faults-- }
#endif
#if UNSURE
    /* an unconfirmed taking reaches the journal: at once, or after the link is lost */
    :: d_step { faults && HAS(0) && pc[0] == TAKE && PUBLISHES(0) -> unconfirmed(0); faults-- }
    :: d_step { faults && HAS(1) && pc[1] == TAKE && PUBLISHES(1) -> unconfirmed(1); faults-- }
    :: d_step { faults && HAS(0) && pc[0] == TAKE && !late[0] -> delayed(0); faults-- }
    :: d_step { faults && HAS(1) && pc[1] == TAKE && !late[1] -> delayed(1); faults-- }
    :: d_step { late[0] -> arrives(0) }
    :: d_step { late[1] -> arrives(1) }
#endif
#if MISS
    /* a message reaches only the journal, or only the queue */
    :: d_step { faults && in_flight[0] -> in_flight[0] = in_flight[0] & 1; faults-- }
    :: d_step { faults && in_flight[0] -> in_flight[0] = in_flight[0] & 2; faults-- }
    :: d_step { faults && in_flight[M - 1] -> in_flight[M - 1] = in_flight[M - 1] & 1; faults-- }
    :: d_step { faults && in_flight[M - 1] -> in_flight[M - 1] = in_flight[M - 1] & 2; faults-- }
#endif
#if LOSS
    :: d_step { faults && !kept_tail -> copy(S, T); kept_tail = 1 }
    :: d_step { faults && kept_tail == 1 -> lose_tail(); faults-- }
#endif
#if WITHDRAW
    :: d_step { withdrawals && T.st[0] -> withdraw(0); withdrawals-- }
    :: d_step { withdrawals && T.st[M - 1] -> withdraw(M - 1); withdrawals-- }
#endif
#if HOLD
    :: d_step { holds && !T.hold -> T.hold = 1; holds-- }
    /* a person releases it, which is an event; or it expires, which each process notices by its own clock */
    :: d_step { T.hold && !hold_over -> T.hold = 0; hold_over = 1 }
    :: d_step { T.hold && !hold_over -> hold_over = 1 }
    :: d_step { hold_over && T.hold && !clock[0] -> clock[0] = 1 }
    :: d_step { hold_over && T.hold && !clock[1] -> clock[1] = 1 }
#endif
    od
}
