/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Attestation: where the bytes of any dma-buf lie.
 */
#ifndef CM_ATTEST_H
#define CM_ATTEST_H

struct cm_attest;

int cm_attest(struct cm_attest *req);

#endif /* CM_ATTEST_H */
