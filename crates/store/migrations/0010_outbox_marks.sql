-- What people do with outbox rows that could not be published.

-- A row that is dropped stays, so that a repeated step does not write its event anew, and holds nothing back.
alter table outbox_dead
    add column dropped_at      timestamptz,
    add column dropped_by      text,
    add column dropped_because text,
    add check ((dropped_at is null) = (dropped_by is null));

create table outbox_mark (
    id        bigint generated always as identity primary key,
    outbox_id bigint not null,
    action    text not null check (action in ('retried', 'dropped')),
    at        timestamptz not null default now(),
    by        text not null,
    because   text,
    -- Why it had been parked, and since when.
    error     text not null,
    parked_at timestamptz not null,
    -- The event as it was, if another one was put in its place.
    replaced  json
);
create index outbox_mark_by_row on outbox_mark (outbox_id);
create trigger outbox_mark_is_append_only before update or delete on outbox_mark
    for each statement execute function refuse_change();
