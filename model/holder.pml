/* A replica of deploys: one server's worker and turn (services/deploys/worker.py, turn.py, deploy.py, unwritten.py), and
   the guard of its command (guard.py, runner.py). The code between two relevant awaits is one step. */

/* Read to the end of the journal. The wait for an unfinished taking starts when that taking is read. */
inline read(i) {
    if
    :: T.running && T.running != B[i].running -> FROM_NOW(reading[i], i)
    :: T.running && T.running == B[i].running
    :: else -> reading[i].after = 0; reading[i].orphaned = 0; reading[i].own_lost = 0
    fi;
    copy_read(B[i], T);
    collect()
}

/* Whether the part of the board that a holder uses has changed since it last read. */
#define BEHIND(i) (T.running != B[i].running || T.over != B[i].over || T.over_count != B[i].over_count || \
                   T.wait_left != B[i].wait_left || T.hold != B[i].hold || T.stuck != B[i].stuck || \
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
    held[i] = 0; held_count[i] = 0; kept[i] = 0; taking[i] = 0; mask[i] = 0; guard[i] = NO; missed[i] = 0;
    turn[i].after = 0; turn[i].orphaned = 0; turn[i].own_lost = 0
}

/* The other holder's waits need not allow for this one's lost turn any longer. */
inline outlived(i) {
    turn[1 - i].after = 0; reading[1 - i].after = 0
}

inline ack(i) {
    if
    :: unacked[SLOT(i)] == held[i] + 1 -> unacked[SLOT(i)] = 0; unacked_count[SLOT(i)] = 0
    :: else
    fi;
    forget(i); pc[i] = IDLE
}

inline keep_outcome(i, what) {
    unwritten[i] = what; outcome_of[i] = taking[i]; taking[i] = 0; mask[i] = 0; guard[i] = NO;
    pc[i] = LOOK
}

#ifdef ANY_LATER_RETURN
#define IN_ORDER(i) (B[i].over & BIT(held[i]))
#else
#define IN_ORDER(i) (B[i].over == held[i] + 1 && B[i].over_count + 1 == held_count[i])
#endif

/* Sets b: whether some of the take-over wait is left. */
inline rest_of_wait(i) {
    b = held_count[i] && !kept[i] && !B[i].running && (!IN_ORDER(i) || B[i].wait_left)
}

inline look(i) {
    b = false;
    if
#ifdef SETTLED_FIRST
    :: SETTLED(B[i].st[held[i]]) -> b = true
#else
    :: SETTLED(B[i].st[held[i]]) && !held_count[i] -> b = true
#endif
    :: else -> barrier(i)
    fi;
    if
    :: b -> ack(i)
    :: else ->
        rest_of_wait(i);
#ifdef NO_TAKEOVER_WAIT
        b = false;
#endif
        if
        :: b -> pc[i] = WAIT
        :: !b && (B[i].st[held[i]] == NONE || B[i].st[held[i]] == RETRYING) ->
#ifdef NO_REPUBLISH
            ack(i)
#else
            in_flight[held[i]] = 3; pc[i] = REPUBLISH
#endif
        :: !b && SETTLED(B[i].st[held[i]]) -> ack(i)
        :: else ->
            if
            :: B[i].running || B[i].stuck -> pc[i] = END
            :: else -> pc[i] = WINDOW
            fi
        fi
    fi
}

/* All waiting messages, and the held one. */
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
    :: y ->
        on_hold[y] = early; of_settled[y] = settled_before;
        held_message_of[y] = held[i] + 1; held_count_of[y] = held_count[i]
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
    :: lost[i] || stop[i] -> keep_outcome(i, INTERRUPTION)
#ifndef NO_REFUSAL
    :: !lost[i] && !stop[i] && missed[i] -> keep_outcome(i, INTERRUPTION)
#endif
    :: else ->
        guard[i] = RUNS; pc[i] = RUN;
        assert(COMMANDS <= 1);                            /* never two commands at once */
        assert((mask[i] & ~batch[taking[i]]) == 0);       /* never for a message outside the batch */
        assert(!of_settled[taking[i]]);                   /* never for a message settled before the taking */
        assert(!on_hold[taking[i]])                       /* never on a held server */
    fi
}

inline exit(i, passes) {
    guard[i] = EXITED;
    failed[taking[i]] = !(passes);
    if
    :: passes
    :: else -> nth[taking[i]] = nf; nf++; fails--
    fi
}

/* Write the first half of an unwritten outcome. A taking that is not in the journal needs no interruption. */
inline write_outcome(i) {
    if
    :: unwritten[i] == RESULT ->
#ifdef RESULT_JOURNAL_FIRST
        result(outcome_of[i]); shown[outcome_of[i]] = 1;
#else
        put_result(outcome_of[i]);
#endif
        pc[i] = (pc[i] == CONNECT -> FINISH_AWAY : FINISH)
    :: unwritten[i] == IS_STUCK -> is_stuck(outcome_of[i]); unwritten[i] = 0; outcome_of[i] = 0; read(i)
    :: else ->
        interrupted(outcome_of[i]); unwritten[i] = 0; outcome_of[i] = 0; read(i)
    fi
}

inline finish_outcome(i) {
#ifdef RESULT_JOURNAL_FIRST
    put_result(outcome_of[i]);
#else
    result(outcome_of[i]); shown[outcome_of[i]] = 1;
#endif
    unwritten[i] = 0; outcome_of[i] = 0; read(i);
    pc[i] = (pc[i] == FINISH_AWAY -> CONNECT : LOOK)
}

/* The session or the turn has ended. The next one starts by writing the unwritten outcome. */
inline leave(i) {
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
    reading[i].own_lost = 0;
    read(i)
}

inline receive(i) {
    held[i] = unacked[SLOT(i)] - 1; held_count[i] = unacked_count[SLOT(i)];
    FROM_NOW(turn[i], i);
    pc[i] = LOOK
}

inline command_exited(i) {
#ifdef ACK_BEFORE_RESULT
    if
    :: unacked[SLOT(i)] == held[i] + 1 -> unacked[SLOT(i)] = 0; unacked_count[SLOT(i)] = 0
    :: else
    fi;
#endif
    keep_outcome(i, RESULT)
}

inline give_turn_back(i) {
#ifdef CANCEL_WHILE_HOLDING
    consumes[SLOT(i)] = 0; next_active();
#endif
    rest_of_wait(i);
#ifdef NO_WAIT_LEFT
    b = false;
#endif
    given_back(held[i], held_count[i], b);
    pc[i] = CLOSE
}

inline die(i) {
    if
    :: COMMAND(i) ->
        orphans++;
        /* a holder that waits for this one also waits for its command */
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
    unwritten[i] = 0; outcome_of[i] = 0; lost[i] = 0; frozen[i] = 0; missed[i] = 0; stop[i] = 0; broken[i] = 0;
    reading[i].after = 0; reading[i].orphaned = 0; reading[i].own_lost = 0;
    collect();
    pc[i] = CONNECT
}

/* Frozen for longer than the guard's silence. */
inline miss_heartbeats(i) {
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

/* The taking is not confirmed. It may be in the journal, so an interruption must be written. In this case, it is there. */
inline unconfirmed(i) {
    early = T.hold && !clock[i];
    taken(mask[i], clock[i]);
    taking[i] = y;
    held_message_of[y] = (y -> held[i] + 1 : 0); held_count_of[y] = (y -> held_count[i] : 0);
    keep_outcome(i, INTERRUPTION)
}

/* In this case, it arrives late, over a connection that is no longer used. */
inline delayed(i) {
    late[i] = mask[i]; lost[i] = 1; taking[i] = 0;
    keep_outcome(i, INTERRUPTION)
}

inline arrives(i) {
    early = T.hold && !clock[i];
    taken(late[i], clock[i]);
    late[i] = 0;
    if
    :: unwritten[i] == INTERRUPTION && !outcome_of[i] -> outcome_of[i] = y
    :: else
    fi
}

#ifdef WAIT_ENDS_STUCK
#define WAIT_COUNTS(i) true
#else
#define WAIT_COUNTS(i) (!B[i].stuck)
#endif

proctype Holder(byte i) {
end:
    do
    /* the start of the worker's loop: write the unwritten outcome, then consume */
    :: d_step { MAY(i) && pc[i] == CONNECT && unwritten[i] -> lost[i] = 0; broken[i] = 0; write_outcome(i) }
    :: d_step { MAY(i) && pc[i] == FINISH_AWAY -> finish_outcome(i) }
    :: d_step { MAY(i) && pc[i] == CONNECT && !unwritten[i] && !(T.hold && !clock[i]) &&
                !(consumes[2 * i] && consumes[2 * i + 1]) ->
                connect(i); consumes[SLOT(i)] = 1; next_active(); pc[i] = IDLE }
    /* the client notices that its consumer is lost */
    :: d_step { HAS(i) && pc[i] >= IDLE && !consumes[SLOT(i)] && pc[i] != CLOSE -> lost[i] = 1 }
    :: d_step { MAY(i) && lost[i] && (pc[i] == IDLE || (pc[i] >= LOOK && pc[i] <= WINDOW) || pc[i] >= FINISH) -> leave(i) }
    :: d_step { MAY(i) && lost[i] && pc[i] == TAKE -> leave(i) }
    :: d_step { HAS(i) && pc[i] == IDLE && unacked[SLOT(i)] && consumes[SLOT(i)] -> receive(i) }
    :: d_step { HAS(i) && pc[i] == IDLE && !unacked[SLOT(i)] && (stop[i] || ON_HOLD(i)) ->
                drop(SLOT(i));
                if
                :: stop[i] -> die(i)
                :: else -> leave(i)
                fi }
    /* a round */
    :: d_step { HAS(i) && pc[i] == LOOK && unwritten[i] && PUBLISHES(i) -> write_outcome(i) }
    :: d_step { HAS(i) && pc[i] == LOOK && !unwritten[i] && !stop[i] && !ON_HOLD(i) && PUBLISHES(i) -> look(i) }
    :: d_step { HAS(i) && (pc[i] == LOOK || (pc[i] >= WAIT && pc[i] <= TAKE && pc[i] != REPUBLISH)) && !unwritten[i] &&
                (stop[i] || ON_HOLD(i)) -> guard[i] = NO; pc[i] = GIVE }
    :: d_step { HAS(i) && pc[i] == WAIT && OVER(turn[i], i) -> kept[i] = 1; pc[i] = LOOK }
    :: d_step { HAS(i) && pc[i] == REPUBLISH && !in_flight[held[i]] -> ack(i) }
    :: d_step { HAS(i) && pc[i] == END && (T.running != B[i].running || T.stuck != B[i].stuck) -> read(i); pc[i] = LOOK }
    :: d_step { HAS(i) && pc[i] == END && WAITED(i) && WAIT_COUNTS(i) && PUBLISHES(i) ->
                kept[i] = 1; interrupted(B[i].running); read(i); pc[i] = LOOK }
    :: d_step { HAS(i) && pc[i] == WINDOW && !ON_HOLD(i) -> choose(i); guard[i] = READY; missed[i] = 0; pc[i] = TAKE }
    :: d_step { HAS(i) && pc[i] == TAKE && !ON_HOLD(i) && PUBLISHES(i) -> take(i) }
    :: d_step { MAY(i) && pc[i] == START -> start(i) }
    /* the command, and what its guard reports */
    :: d_step { guard[i] == RUNS -> exit(i, true) }
    :: d_step { guard[i] == RUNS && fails -> exit(i, false) }
    :: d_step { MAY(i) && guard[i] == RUNS && (lost[i] || stop[i]) -> guard[i] = STOPS }
    :: d_step { guard[i] == STOPS -> guard[i] = KILLED;
                if
                :: missed[i] -> outlived(i)
                :: else
                fi }
    :: d_step { MAY(i) && pc[i] == RUN && guard[i] == KILLED -> keep_outcome(i, INTERRUPTION) }
    :: d_step { MAY(i) && pc[i] == RUN && guard[i] == EXITED -> command_exited(i) }
#if STUCK
    :: d_step { MAY(i) && pc[i] == RUN && guard[i] == REFUSES -> lock[i] = taking[i]; left[i] = 1; keep_outcome(i, IS_STUCK) }
    /* its lock is free: whoever works on this machine writes that it is gone */
    :: d_step { MAY(i) && !NO_CONSUMER(i) && lock[i] && !left[i] && B[i].stuck == lock[i] && PUBLISHES(i) ->
                if
                :: T.stuck == lock[i] -> is_gone(lock[i])
                :: else
                fi;
                lock[i] = 0 }
#endif
    :: d_step { HAS(i) && pc[i] == FINISH && PUBLISHES(i) -> finish_outcome(i) }
    /* giving the turn back */
    :: d_step { HAS(i) && pc[i] == GIVE && PUBLISHES(i) -> give_turn_back(i) }
    :: d_step { MAY(i) && pc[i] == CLOSE ->
                drop(SLOT(i));
                if
                :: stop[i] -> die(i)
                :: else -> leave(i)
                fi }
    /* reading on at any time */
    :: d_step { MAY(i) && (pc[i] == IDLE || pc[i] == WAIT || pc[i] == END || pc[i] == WINDOW || pc[i] == RUN) &&
                PUBLISHES(i) && BEHIND(i) -> read(i) }
    od
}
