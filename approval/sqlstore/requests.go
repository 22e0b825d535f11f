package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/nod-auth/nod/approval"
)

const requestColumns = `id, face, namespace_id, client_id, purpose, context, audience, token_needed, user_id, match_mode,
	code_kind, code_hash, handle_hash, created_at, expires, state, version, tries, opened_at, opened_via, decision, grant_data, ended_by,
	rotates, opened_by, again_at, typed_hash, answer_to, jkt`

func scanRequest(from row) (r approval.Request, err error) {
	err = from.Scan(&r.ID, &r.Face, &r.NamespaceID, &r.ClientID, &r.Purpose, parsed{&r.Context}, &r.Audience, &r.TokenNeeded,
		&r.UserID, &r.Match, &r.CodeKind, &r.CodeHash, &r.HandleHash, instant{&r.CreatedAt}, instant{&r.Expires}, &r.State,
		&r.Version, &r.Tries, instant{&r.OpenedAt}, &r.OpenedVia, parsed{&r.Decision}, parsed{&r.Grant}, &r.EndedBy,
		&r.Rotates, &r.OpenedBy, instant{&r.AgainAt}, &r.TypedHash, &r.AnswerTo, &r.JKT)
	return r, err
}

func scanFound(from row) (*approval.Request, error) {
	r, err := scanRequest(from)
	return &r, err
}

// Find implements approval.Store.
func (s *Store) Find(ctx context.Context, k approval.Key) (approval.Request, error) {
	r, err := find(ctx, s.reads, k)
	if err != nil {
		return approval.Request{}, fault("find request", err)
	}
	return *r, nil
}

// find's answer is a pointer for the sake of a waiter's stack, see stacks.
func find(ctx context.Context, s *statements, k approval.Key) (*approval.Request, error) {
	const (
		byID     = `SELECT ` + requestColumns + ` FROM requests WHERE id = $1`
		byHandle = `SELECT ` + requestColumns + ` FROM requests WHERE handle_hash = $1`
		byCode   = `SELECT ` + requestColumns + ` FROM requests WHERE code_hash = $1`
		byTyped  = `SELECT ` + requestColumns + ` FROM requests WHERE typed_hash = $1`
	)
	switch {
	case k.ID != "":
		return one(ctx, s, scanFound, byID, k.ID)
	case len(k.Handle) > 0:
		return one(ctx, s, scanFound, byHandle, k.Handle)
	case len(k.CodeHash) > 0:
		return one(ctx, s, scanFound, byCode, k.CodeHash)
	case len(k.Typed) > 0:
		r, err := one(ctx, s, scanFound, byTyped, k.Typed)
		if errors.Is(err, sql.ErrNoRows) && len(k.OrTyped) > 0 {
			return one(ctx, s, scanFound, byTyped, k.OrTyped)
		}
		return r, err
	default:
		return nil, sql.ErrNoRows
	}
}

// List implements approval.Store.
func (s *Store) List(ctx context.Context, f approval.Filter, limit int) ([]approval.Request, error) {
	where, args := conditions(f)
	query := `SELECT ` + requestColumns + ` FROM requests WHERE ` + where +
		fmt.Sprintf(` ORDER BY created_at DESC, id DESC LIMIT $%d`, len(args)+1)
	rs, err := list(ctx, s.reads, scanRequest, query, append(args, limit)...)
	return rs, fault("list requests", err)
}

// conditions writes a filter as SQL. Only constants get into the text.
func conditions(f approval.Filter) (where string, args []any) {
	terms := []string{"1 = 1"}
	add := func(term string, values ...any) {
		for _, v := range values {
			args = append(args, v)
			term = strings.Replace(term, "?", fmt.Sprintf("$%d", len(args)), 1)
		}
		terms = append(terms, term)
	}
	if f.NamespaceID != "" {
		add("namespace_id = ?", f.NamespaceID)
	}
	if f.UserID != "" {
		add("user_id = ?", f.UserID)
	}
	if f.ClientID != "" {
		add("(client_id = ? OR audience = ?)", f.ClientID, f.ClientID)
	}
	if f.PasskeyID != "" {
		add("decided_passkey <> '' AND decided_passkey = ?", f.PasskeyID) // as the partial index says
	}
	if f.CodeKind != "" {
		add("code_kind = ?", string(f.CodeKind))
	}
	if f.Purpose != "" {
		add("purpose = ?", string(f.Purpose))
	}
	if len(f.States) > 0 {
		var states []any
		for _, st := range f.States {
			states = append(states, string(st))
		}
		add("state IN (?"+strings.Repeat(", ?", len(states)-1)+")", states...)
	}
	if f.GrantLive {
		add("(state <> ? OR grant_revoked_at = 0)", string(approval.Redeemed))
	}
	return strings.Join(terms, " AND "), args
}

// maxSeen is approval.Store's bound for one call of Changed.
const maxSeen = 500

// Changed implements approval.Store.
func (s *Store) Changed(ctx context.Context, seen []approval.Seen) ([]string, error) {
	var moved []string
	for chunk := range slices.Chunk(seen, maxSeen) {
		now, err := s.versions(ctx, chunk)
		if err != nil {
			return nil, fault("compare versions", err)
		}
		for _, v := range chunk {
			if now[v.ID] != v.Version { // 0 when it is gone
				moved = append(moved, v.ID)
			}
		}
	}
	return moved, nil
}

func (s *Store) versions(ctx context.Context, seen []approval.Seen) (map[string]int64, error) {
	// Padded to a power of two, so that ten prepared statements serve all sizes.
	args := make([]any, 1<<bits.Len(uint(len(seen)-1)))
	marks := make([]string, len(args))
	for i := range args {
		args[i], marks[i] = seen[min(i, len(seen)-1)].ID, fmt.Sprintf("$%d", i+1)
	}
	query := `SELECT id, version FROM requests WHERE id IN (` + strings.Join(marks, ", ") + `)`
	found, err := list(ctx, s.reads, scanSeen, query, args...)
	versions := make(map[string]int64, len(found))
	for _, v := range found {
		versions[v.ID] = v.Version
	}
	return versions, err
}

func scanSeen(from row) (v approval.Seen, err error) {
	err = from.Scan(&v.ID, &v.Version)
	return v, err
}
