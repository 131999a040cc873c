/* What goes wrong, no more than FAULTS times; and what happens
   without anybody's fault: a withdrawal, a hold, a stop. */

/* The broker has restarted, and its journal is what it was before. */
inline lose_tail() {
    for (x : 0 .. N - 1) {
        if
        :: T.st[x] == FAILED || T.st[x] >= RETRIED -> gone_before = gone_before | BIT(x)
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
    /* at the door */
    :: d_step { sent < M -> flies[sent] = 3; sent++ }
    :: d_step { orphans -> orphans-- }
#if CRASH
    :: d_step { faults && (pc[0] > CONNECT || debt[0]) -> die(0); faults-- }
    :: d_step { faults && (pc[1] > CONNECT || debt[1]) -> die(1); faults-- }
#endif
#if CUTS
    /* the broker sees it first … */
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
    :: d_step { frozen[0] && !missed[0] -> miss_beats(0) }
    :: d_step { frozen[1] && !missed[1] -> miss_beats(1) }
#endif
#if STOP
    :: d_step { faults && pc[0] > CONNECT && !stop[0] -> stop[0] = 1; faults-- }
    :: d_step { faults && pc[1] > CONNECT && !stop[1] -> stop[1] = 1; faults-- }
#endif
#if DIES
    :: d_step { faults && at > READ -> successes_dies(); faults-- }
#endif
#if UNSURE
    /* a taking that is not confirmed lands all the same: at once, or after the link is lost */
    :: d_step { faults && HAS(0) && pc[0] == TAKE && PUBLISHES(0) -> unconfirmed(0); faults-- }
    :: d_step { faults && HAS(1) && pc[1] == TAKE && PUBLISHES(1) -> unconfirmed(1); faults-- }
    :: d_step { faults && HAS(0) && pc[0] == TAKE && !late[0] -> delayed(0); faults-- }
    :: d_step { faults && HAS(1) && pc[1] == TAKE && !late[1] -> delayed(1); faults-- }
    :: d_step { late[0] -> arrives(0) }
    :: d_step { late[1] -> arrives(1) }
#endif
#if MISS
    /* the journal took it and the queue did not, or the other way round */
    :: d_step { faults && flies[0] -> flies[0] = flies[0] & 1; faults-- }
    :: d_step { faults && flies[0] -> flies[0] = flies[0] & 2; faults-- }
    :: d_step { faults && flies[M - 1] -> flies[M - 1] = flies[M - 1] & 1; faults-- }
    :: d_step { faults && flies[M - 1] -> flies[M - 1] = flies[M - 1] & 2; faults-- }
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
    /* a person releases it, which is an event; or it expires, which each clock says in its own time */
    :: d_step { T.hold && !hold_over -> T.hold = 0; hold_over = 1 }
    :: d_step { T.hold && !hold_over -> hold_over = 1 }
    :: d_step { hold_over && T.hold && !clock[0] -> clock[0] = 1 }
    :: d_step { hold_over && T.hold && !clock[1] -> clock[1] = 1 }
#endif
    od
}
