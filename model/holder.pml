/* A replica of deploys with one server's worker and turn (services/deploys/worker.py, turn.py, deploy.py, unwritten.py) and
   the guard of its command (guard.py, runner.py). What lies between two awaits that matter is one step. */

/* Read on to the end of the journal. A wait that is to be kept begins with reading what it is kept for. */
inline read(i) {
    if
    :: T.running && T.running != B[i].running -> FROM_NOW(reading[i], i)
    :: T.running && T.running == B[i].running
    :: else -> reading[i].after = 0; reading[i].orphaned = 0; reading[i].void_ = 0
    fi;
    copy_read(B[i], T);
    collect()
}

/* What has changed on a board that a holder goes by. */
#define BEHIND(i) (T.running != B[i].running || T.over != B[i].over || T.times != B[i].times || T.owed != B[i].owed || T.hold != B[i].hold || \
                   T.st[0] != B[i].st[0] || MORE(i))
#if N == 1
#define MORE(i) false
#elif N == 2
#define MORE(i) (T.st[1] != B[i].st[1])
#elif N == 4
#define MORE(i) (T.st[1] != B[i].st[1] || T.st[2] != B[i].st[2] || T.st[3] != B[i].st[3])
#else
#define MORE(i) (T.st[1] != B[i].st[1] || T.st[2] != B[i].st[2] || T.st[3] != B[i].st[3] \
                 || T.st[4] != B[i].st[4] || T.st[5] != B[i].st[5])
#endif

inline barrier(i) {
#ifndef NO_BARRIER
    read(i)
#else
    skip
#endif
}

inline forget(i) {
    held[i] = 0; again[i] = 0; kept[i] = 0; taking[i] = 0; mask[i] = 0; guard[i] = NO; missed[i] = 0;
    turn[i].after = 0; turn[i].orphaned = 0; turn[i].void_ = 0
}

/* The other's waits need not take this one's former turn for alive any longer. */
inline outlived(i) {
    turn[1 - i].after = 0; reading[1 - i].after = 0
}

inline ack(i) {
    if
    :: unacked[SLOT(i)] == held[i] + 1 -> unacked[SLOT(i)] = 0; redelivered[SLOT(i)] = 0
    :: else
    fi;
    forget(i); pc[i] = IDLE
}

inline owe(i, what) {
    debt[i] = what; owed_for[i] = taking[i]; taking[i] = 0; mask[i] = 0; guard[i] = NO;
    pc[i] = LOOK
}

#ifdef ANY_LATER_RETURN
#define IN_ORDER(i) (B[i].over & BIT(held[i]))
#else
#define IN_ORDER(i) (B[i].over == held[i] + 1 && B[i].times + 1 == again[i])
#endif

/* What of the take-over wait is left, in b. */
inline owes(i) {
    b = again[i] && !kept[i] && !B[i].running && (!IN_ORDER(i) || B[i].owed)
}

inline look(i) {
    b = false;
    if
#ifdef SETTLED_FIRST
    :: SETTLED(B[i].st[held[i]]) -> b = true
#else
    :: SETTLED(B[i].st[held[i]]) && !again[i] -> b = true
#endif
    :: else -> barrier(i)
    fi;
    if
    :: b -> ack(i)
    :: else ->
        owes(i);
#ifdef NO_TAKEOVER_WAIT
        b = false;
#endif
        if
        :: b -> pc[i] = WAIT
        :: !b && (B[i].st[held[i]] == NONE || B[i].st[held[i]] == RETRYING) ->
#ifdef NO_TELL_AGAIN
            ack(i)
#else
            flies[held[i]] = 3; pc[i] = TELL
#endif
        :: !b && SETTLED(B[i].st[held[i]]) -> ack(i)
        :: else ->
            if
            :: B[i].running -> pc[i] = END
            :: else -> pc[i] = WINDOW
            fi
        fi
    fi
}

/* What the board has waiting, the held one first: all of it. */
inline choose(i) {
    mask[i] = BIT(held[i]);
    for (x : 0 .. N - 1) {
        if
        :: B[i].st[x] == WAITING -> mask[i] = mask[i] | BIT(x)
        :: else
        fi
    }
}

inline take(i) {
    early = T.hold && !clock[i];
    taken(mask[i], clock[i]);
    if
    :: y -> on_hold[y] = early; of_settled[y] = settled_before; held_with[y] = held[i] + 1; times[y] = again[i]
    :: else
    fi;
    granted = y;
#ifdef NO_READ_BACK
    taking[i] = (y -> y : ND - 1);
    pc[i] = START
#else
    read(i);
    if
    :: granted -> taking[i] = granted; mask[i] = batch[granted]; pc[i] = START
    :: else -> mask[i] = 0; guard[i] = NO; pc[i] = LOOK
    fi
#endif
}

inline start(i) {
    if
    :: lost[i] || stop[i] -> owe(i, INTERRUPTION)
#ifndef NO_REFUSAL
    :: !lost[i] && !stop[i] && missed[i] -> owe(i, INTERRUPTION)
#endif
    :: else ->
        guard[i] = RUNS; pc[i] = RUN;
        assert(COMMANDS <= 1);                            /* never two at once */
        assert((mask[i] & ~batch[taking[i]]) == 0);       /* … nor for what was settled before its taking */
        assert(!of_settled[taking[i]]);
        assert(!on_hold[taking[i]])                       /* … nor while somebody holds the server */
    fi
}

inline end_by_itself(i, passes) {
    guard[i] = BYITSELF;
    failed[taking[i]] = !(passes);
    if
    :: passes
    :: else -> nth[taking[i]] = nf; nf++; fails--
    fi
}

/* The first half of what is owed; what is nowhere in the journal needs no end. */
inline pay(i) {
    if
    :: debt[i] == RESULT ->
#ifdef RESULT_JOURNAL_FIRST
        result(owed_for[i]); shown[owed_for[i]] = 1;
#else
        put_result(owed_for[i]);
#endif
        pc[i] = (pc[i] == CONNECT -> REPAY : PAY)
    :: else ->
        interrupted(owed_for[i]); debt[i] = 0; owed_for[i] = 0; read(i)
    fi
}

inline paid(i) {
#ifdef RESULT_JOURNAL_FIRST
    put_result(owed_for[i]);
#else
    result(owed_for[i]); shown[owed_for[i]] = 1;
#endif
    debt[i] = 0; owed_for[i] = 0; read(i);
    pc[i] = (pc[i] == REPAY -> CONNECT : LOOK)
}

/* Its session, or its turn, has ended; the next begins with what is owed. */
inline left(i) {
    if
    :: guard[i] == NO || guard[i] == READY
    :: else -> assert(false)
    fi;
    forget(i); pc[i] = CONNECT
}

inline connect(i) {
    if
    :: consumes[SLOT(i)] -> parity[i] = 1 - parity[i]
    :: else
    fi;
    lost[i] = 0; missed[i] = 0; broken[i] = 0; outlived(i);
    reading[i].void_ = 0;
    read(i)
}

inline receive(i) {
    held[i] = unacked[SLOT(i)] - 1; again[i] = redelivered[SLOT(i)];
    FROM_NOW(turn[i], i);
    pc[i] = LOOK
}

inline hear(i) {
#ifdef ACK_BEFORE_RESULT
    if
    :: unacked[SLOT(i)] == held[i] + 1 -> unacked[SLOT(i)] = 0; redelivered[SLOT(i)] = 0
    :: else
    fi;
#endif
    owe(i, RESULT)
}

inline give(i) {
#ifdef CANCEL_WHILE_HOLDING
    consumes[SLOT(i)] = 0; next_active();
#endif
    owes(i);
#ifdef NO_OWES
    b = false;
#endif
    given_back(held[i], again[i], b);
    pc[i] = CLOSE
}

inline die(i) {
    if
    :: COMMAND(i) ->
        orphans++;
        /* who waits for its end waits for that of its command */
        if
        :: turn[1 - i].after -> turn[1 - i].orphaned = 1
        :: else
        fi;
        if
        :: reading[1 - i].after -> reading[1 - i].orphaned = 1
        :: else
        fi
    :: else
    fi;
    forget(i); clear(B[i]);
    debt[i] = 0; owed_for[i] = 0; lost[i] = 0; frozen[i] = 0; missed[i] = 0; stop[i] = 0; broken[i] = 0;
    reading[i].after = 0; reading[i].orphaned = 0; reading[i].void_ = 0;
    collect();
    pc[i] = CONNECT
}

/* Frozen for longer than the guard's silence. */
inline miss_beats(i) {
    missed[i] = 1;
#ifdef NO_GUARD
    outlived(i)
#else
    if
    :: guard[i] == RUNS -> guard[i] = STOPS
    :: else
    fi;
    if
    :: COMMAND(i)
    :: else -> outlived(i)
    fi
#endif
}

/* Not confirmed: for all that is known it is in the journal, so its end is owed. Here it is. */
inline unconfirmed(i) {
    early = T.hold && !clock[i];
    taken(mask[i], clock[i]);
    taking[i] = y;
    held_with[y] = (y -> held[i] + 1 : 0); times[y] = (y -> again[i] : 0);
    owe(i, INTERRUPTION)
}

/* Here it comes late, by a connection that is not used any more. */
inline delayed(i) {
    late[i] = mask[i]; lost[i] = 1; taking[i] = 0;
    owe(i, INTERRUPTION)
}

inline arrives(i) {
    early = T.hold && !clock[i];
    taken(late[i], clock[i]);
    late[i] = 0;
    if
    :: debt[i] == INTERRUPTION && !owed_for[i] -> owed_for[i] = y
    :: else
    fi
}

proctype Holder(byte i) {
end:
    do
    /* the head of the worker's loop: what is owed, then the consumer */
    :: d_step { MAY(i) && pc[i] == CONNECT && debt[i] -> lost[i] = 0; broken[i] = 0; pay(i) }
    :: d_step { MAY(i) && pc[i] == REPAY -> paid(i) }
    :: d_step { MAY(i) && pc[i] == CONNECT && !debt[i] && !(T.hold && !clock[i]) &&
                !(consumes[2 * i] && consumes[2 * i + 1]) ->
                connect(i); consumes[SLOT(i)] = 1; next_active(); pc[i] = IDLE }
    /* the client learns that its consumer is gone */
    :: d_step { HAS(i) && pc[i] >= IDLE && !consumes[SLOT(i)] && pc[i] != CLOSE -> lost[i] = 1 }
    :: d_step { MAY(i) && lost[i] && (pc[i] == IDLE || (pc[i] >= LOOK && pc[i] <= WINDOW) || pc[i] >= PAY) -> left(i) }
    :: d_step { MAY(i) && lost[i] && pc[i] == TAKE -> left(i) }
    :: d_step { HAS(i) && pc[i] == IDLE && unacked[SLOT(i)] && consumes[SLOT(i)] -> receive(i) }
    :: d_step { HAS(i) && pc[i] == IDLE && !unacked[SLOT(i)] && (stop[i] || HELD_BACK(i)) ->
                drop(SLOT(i));
                if
                :: stop[i] -> die(i)
                :: else -> left(i)
                fi }
    /* a round */
    :: d_step { HAS(i) && pc[i] == LOOK && debt[i] && PUBLISHES(i) -> pay(i) }
    :: d_step { HAS(i) && pc[i] == LOOK && !debt[i] && !stop[i] && !HELD_BACK(i) && PUBLISHES(i) -> look(i) }
    :: d_step { HAS(i) && (pc[i] == LOOK || (pc[i] >= WAIT && pc[i] <= TAKE && pc[i] != TELL)) && !debt[i] &&
                (stop[i] || HELD_BACK(i)) -> guard[i] = NO; pc[i] = GIVE }
    :: d_step { HAS(i) && pc[i] == WAIT && OVER(turn[i], i) -> kept[i] = 1; pc[i] = LOOK }
    :: d_step { HAS(i) && pc[i] == TELL && !flies[held[i]] -> ack(i) }
    :: d_step { HAS(i) && pc[i] == END && T.running != B[i].running -> read(i); pc[i] = LOOK }
    :: d_step { HAS(i) && pc[i] == END && WAITED(i) && PUBLISHES(i) ->
                kept[i] = 1; interrupted(B[i].running); read(i); pc[i] = LOOK }
    :: d_step { HAS(i) && pc[i] == WINDOW && !HELD_BACK(i) -> choose(i); guard[i] = READY; missed[i] = 0; pc[i] = TAKE }
    :: d_step { HAS(i) && pc[i] == TAKE && !HELD_BACK(i) && PUBLISHES(i) -> take(i) }
    :: d_step { MAY(i) && pc[i] == START -> start(i) }
    /* the command, and what its guard tells */
    :: d_step { guard[i] == RUNS -> end_by_itself(i, true) }
    :: d_step { guard[i] == RUNS && fails -> end_by_itself(i, false) }
    :: d_step { MAY(i) && guard[i] == RUNS && (lost[i] || stop[i]) -> guard[i] = STOPS }
    :: d_step { guard[i] == STOPS -> guard[i] = CUT;
                if
                :: missed[i] -> outlived(i)
                :: else
                fi }
    :: d_step { MAY(i) && pc[i] == RUN && guard[i] == CUT -> owe(i, INTERRUPTION) }
    :: d_step { MAY(i) && pc[i] == RUN && guard[i] == BYITSELF -> hear(i) }
    :: d_step { HAS(i) && pc[i] == PAY && PUBLISHES(i) -> paid(i) }
    /* giving back */
    :: d_step { HAS(i) && pc[i] == GIVE && PUBLISHES(i) -> give(i) }
    :: d_step { MAY(i) && pc[i] == CLOSE ->
                drop(SLOT(i));
                if
                :: stop[i] -> die(i)
                :: else -> left(i)
                fi }
    /* reading on without need */
    :: d_step { MAY(i) && (pc[i] == IDLE || pc[i] == WAIT || pc[i] == END || pc[i] == WINDOW || pc[i] == RUN) &&
                PUBLISHES(i) && BEHIND(i) -> read(i) }
    od
}
