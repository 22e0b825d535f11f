package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"time"

	"github.com/jackc/pgx/v5"
)

// postgresServer is one PostgreSQL with a database of our own in it.
type postgresServer struct {
	url    string // of our own database
	name   string // of that database
	server *pgx.Conn
	own    *pgx.Conn // to our own database, when statements are counted
	pid    int       // the first process, whose children the others are; 0: not on this machine
}

// dialPostgres makes a database on the server that the URL names: what is measured
// begins empty, and what is there already is left alone.
func dialPostgres(ctx context.Context, raw string) (*postgresServer, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, errors.New("--database-url: write postgres://user:password@host:5432/database")
	}
	if err := loopback("--database-url", u.Hostname()); err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, raw)
	if err != nil {
		return nil, fmt.Errorf("connect to postgres: %w", err)
	}
	p := &postgresServer{name: fmt.Sprintf("nodload_%x", rand.Uint64()), server: conn}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+p.name); err != nil {
		return nil, errors.Join(fmt.Errorf("make a database: %w", err), conn.Close(ctx))
	}
	own := *u
	own.Path = "/" + p.name
	p.url = own.String()
	var backend int
	if err := conn.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&backend); err == nil && commandName(backend) == "postgres" {
		p.pid = parentOf(backend)
	}
	return p, nil
}

// close removes the database.
func (p *postgresServer) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if p.own != nil {
		_ = p.own.Close(ctx)
	}
	_, _ = p.server.Exec(ctx, "DROP DATABASE IF EXISTS "+p.name+" WITH (FORCE)") // it may be stopped already
	_ = p.server.Close(ctx)
}

// countsStatements says whether the server can tell how often which statement ran,
// and makes it do so when it can. The view that tells is in our own database.
func (p *postgresServer) countsStatements(ctx context.Context) bool {
	if p.own == nil {
		own, err := pgx.Connect(ctx, p.url)
		if err != nil {
			return false
		}
		p.own = own
	}
	_, err := p.own.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
	if err == nil {
		_, err = p.statements(ctx)
	}
	return err == nil
}

// calls are statements that ran in our database: of the hub's sweep, of others that
// read or write requests, and the rest.
type calls struct{ sweep, requests, other float64 }

func (p *postgresServer) statements(ctx context.Context) (c calls, err error) {
	// The sweep is the one statement that compares versions (approval/sqlstore,
	// Changed).
	const query = `
SELECT COALESCE(SUM(calls) FILTER (WHERE sweep), 0)::float8,
       COALESCE(SUM(calls) FILTER (WHERE NOT sweep AND requests), 0)::float8,
       COALESCE(SUM(calls) FILTER (WHERE NOT sweep AND NOT requests), 0)::float8
  FROM (SELECT calls, query LIKE 'SELECT id, version FROM requests WHERE id IN%' AS sweep, query LIKE '%requests%' AS requests
          FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
         WHERE d.datname = $1 AND query NOT LIKE '%pg_stat_statements%') AS counted`
	err = p.own.QueryRow(ctx, query, p.name).Scan(&c.sweep, &c.requests, &c.other)
	return c, err
}
