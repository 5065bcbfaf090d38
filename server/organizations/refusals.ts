import { type InputIssue, Refusal } from '../refusal.ts'

export const oneOwner: InputIssue = {
  path: 'role',
  message: 'An organization has the one owner. Choose another role, such as SUPER_ADMIN.',
}

export class MemberNotFound extends Refusal {
  constructor() {
    super('There is no such member in the organization. They may have been removed; look at the list again.')
  }
}

export class OwnerProtected extends Refusal {
  constructor() {
    super('The owner keeps their role and stays active. Whoever runs Latchkey can hand the organization over.')
  }
}

export class AlreadyMember extends Refusal {
  constructor() {
    super(
      'Somebody with this email address is a member of the organization already. If they are deactivated, make them active again.',
    )
  }
}

export class InvitationNotFound extends Refusal {
  constructor() {
    super(
      'This invitation is not good, or not any more: it may have been accepted, withdrawn, replaced by a newer one, or have expired. Ask for another.',
    )
  }
}

export class TooManyInvitations extends Refusal {
  constructor(most: number) {
    super(`The organization has ${most} open invitations, as many as it may have. Withdraw one that is not needed.`)
  }
}

export class GroupNotFound extends Refusal {
  constructor() {
    super(
      'There is no such group in the organization. Its identity provider may have deleted it; look at the list again.',
    )
  }
}
