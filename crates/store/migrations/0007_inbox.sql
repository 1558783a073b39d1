-- The inbox: what the ordered reader of the EVENTS stream wrote for instances and for tasks that wait.

create table inbox_position (
    -- One row, made by `spine provision` when the stream is there. Whoever moves it writes what the messages up to
    -- there cause in the same transaction.
    only_row boolean primary key default true check (only_row),
    -- The last message of the stream that was read.
    sequence bigint not null check (sequence >= 0)
);

-- What tasks wait for, each once, whatever number of revisions share it. Written when a revision is applied, and
-- never deleted: a run keeps its revision. No revision of before this migration waits for an event.
create table wait_spec (
    spec       text primary key,
    -- `event`, `source`, `match` and `key` as they were written.
    content    json not null,
    created_at timestamptz not null default now()
);

-- Every event that meets a spec, whether or not somebody waits for it already. Kept as long as the stream keeps it.
create table inbox_event (
    spec        text not null,
    -- What the spec's `key` gave; empty if it has none.
    key         text not null,
    sequence    bigint not null,
    event_key   text not null,
    received_at timestamptz not null,
    event       json not null,
    -- The same event, published again when the broker no longer knew it, is no other event.
    primary key (spec, event_key)
);
create index inbox_event_in_order on inbox_event (spec, key, sequence);
create index inbox_event_by_age on inbox_event (received_at);

-- Task instances that wait for an event. A row is there exactly as long as its task is open.
create table event_wait (
    run            text not null,
    task           text not null,
    index          integer not null,
    spec           text not null,
    -- What the spec's key must be; empty if it has none.
    key            text not null,
    -- The event that ends it stands after this place of the stream,
    after_sequence bigint,
    -- or, where nothing in the stream started the run, was received after this time.
    after_time     timestamptz,
    primary key (run, task, index),
    foreign key (run, task, index) references task on delete cascade,
    check ((after_sequence is null) <> (after_time is null))
);
create index event_wait_by_key on event_wait (spec, key);

-- Whatever ends the task ends the wait: an event, a deadline, its run.
create function wait_no_more() returns trigger language plpgsql as $$
begin
    delete from event_wait where run = new.run and task = new.task and index = new.index;
    return null;
end
$$;
create trigger task_waits_no_more after update of status on task for each row
    when (new.uses = 'wait' and old.status = 'created' and new.status <> 'created')
    execute function wait_no_more();

-- Where the event that started a run stands in the EVENTS stream.
alter table run add column stream_sequence bigint;
