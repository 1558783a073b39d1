-- The shop's own database, which the `sql` contexts read.
create table if not exists orders (id text primary key, customer text not null, total numeric not null);
create table if not exists stock (sku text primary key, quantity integer not null);
insert into orders values ('900', 'ada', 120.50), ('901', 'ada', 80.00), ('902', 'bob', 15.00) on conflict do nothing;
insert into stock values ('lamp-7', 3), ('desk-2', 40), ('chair-4', 0) on conflict do nothing;
