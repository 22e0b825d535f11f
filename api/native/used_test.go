package native_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/nod-auth/nod/approval/account"
)

// An application that asks whether a device still stands tells that it is in use; one
// that lists them all does not.
func TestDevices_askedAboutOneIsSeen(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{Name: "Acme Web", Type: account.ClientWeb, Origins: []string{h.URL}})
	newPerson(app, "ada")
	letIn(app, "ada", "Living-room TV")
	devices := listDevices(app, M{"username": "ada"})
	tv, page := devices[0].ID, devices[1].ID
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = h.Service.Run(ctx) })
	defer func() {
		stop()
		running.Wait()
	}()

	h.advance(2 * time.Hour)
	app.Post("/devices/list", account.DevicesList, M{"username": "ada"}).Want(http.StatusOK)
	app.Post("/devices/list", account.DevicesList, M{"username": "ada", "device": M{"id": tv}}).Want(http.StatusOK)
	used := func(id string) bool {
		d, err := h.Store.Device(t.Context(), id)
		return err == nil && !d.UsedAt.IsZero()
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(10 * time.Second); !used(tv); {
		select {
		case <-deadline:
			t.Fatal("the television was not seen within 10s")
		case <-tick.C:
		}
	}
	if used(page) {
		t.Error("the page was seen, though nobody asked about it alone")
	}
}
